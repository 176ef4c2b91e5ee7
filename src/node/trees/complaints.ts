/** What cp(1) and find(1) complain about, as an error that names the files. Pure. */
import { NodeError } from '../node-error.ts';

const SHOWN = 3;
const NO_SPACE = /: (No space left on device|Disk quota exceeded)$/;
/** Said by cp or find, of a name in the source: a program that is not installed, and a copy that is gone, sound alike. */
const VANISHED =
  /^(?:cp|find): (?!.*\/proc\/self\/fd\/).*(?:: No such file or directory|, as it was replaced while being copied)$/;

/** The error for a program that did not succeed; `what` says what became of the files it names. */
export function failureOf(program: string, what: string, complaints: readonly string[], count: number): NodeError {
  const full = complaints.find((line) => NO_SPACE.test(line));
  if (full !== undefined) return new NodeError('NoSpace', `there is no room for the copy (${clean(full)})`);
  if (count === 0) return new NodeError('CommandFailed', `${program} was ended before it was done`);
  const more = count > SHOWN ? ` and ${count - SHOWN} more` : '';
  return new NodeError('CommandFailed', `${count} ${what}: ${complaints.slice(0, SHOWN).map(clean).join('; ')}${more}`);
}

/** True when files of the source went away, and nothing else was wrong: somebody removed them during the copy. */
export function onlyVanished(complaints: readonly string[], count: number): boolean {
  return count > 0 && count === complaints.length && complaints.every((line) => VANISHED.test(line));
}

/** Without the program's name and the way we reach the directories. */
function clean(line: string): string {
  return line
    .replace(/^(?:\/\S*\/)?(?:cp|find|xargs|sync): /, '')
    .replaceAll(/\/proc\/self\/fd\/\d+\/[^'/]+/g, 'the copy')
    .replaceAll("'./", "'");
}
