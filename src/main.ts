/** The binary's entry: parse, run, exit code. What each command is made of is in `cli/program.ts`. */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Told by the launcher (bin/clawstore), and of no interest to processes that are started from here.
const calledAs = process.env['CLAWSTORE_CALLED_AS'];
delete process.env['CLAWSTORE_CALLED_AS'];

/** Those stay, and start seldom. */
const DAEMONS: readonly string[] = ['up', 'apiserver', 'controller', 'agent', 'mount-holder'];

const argv = process.argv.slice(2);
// A tenth of the time of a command is compiling. What the engine made of the program is kept inside the program's own
// folder: whoever can write there can change the program as well, and nobody else may be believed. Where it cannot be
// written, all is as if there were none.
if (import.meta.filename.endsWith('.js') && !DAEMONS.includes(argv[0] ?? '')) {
  enableCompileCache(join(import.meta.dirname, '.compiled'));
}

// Only now: what is loaded before is not kept.
const { runProgram } = await import('./cli/program.ts');
process.exitCode = await runProgram(argv, calledAs);
