/** This build under another version number, in a directory of its own: what an agent of another release is started from. */
import { cpSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory, onEnd } from './run.ts';

const ROOT = join(import.meta.dirname, '../../..');

/** What another release does otherwise, as a change of the built text. */
export interface Difference {
  readonly find: RegExp;
  readonly replace: string;
}

/** Gone after the last test. @returns its binary. @throws Error when the build has nothing of what is to be different. */
export function otherVersion(version: string, difference?: Difference): string {
  const directory = makeDirectory(`version-${version}`);
  onEnd(() => rmSync(directory, { recursive: true }));
  for (const part of ['bin', 'dist', 'crds', 'manifests']) {
    cpSync(join(ROOT, part), join(directory, part), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as object;
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ ...manifest, version }));
  if (difference !== undefined) change(join(directory, 'dist'), difference);
  return join(directory, 'bin/clawstore');
}

function change(dist: string, { find, replace }: Difference): void {
  // Chunks of earlier builds may lie beside those of this one.
  const changed = readdirSync(dist).filter((name) => {
    const file = join(dist, name);
    const text = name.endsWith('.js') ? readFileSync(file, 'utf8') : '';
    if (!find.test(text)) return false;
    writeFileSync(file, text.replace(find, replace));
    return true;
  });
  if (changed.length === 0) throw new Error(`nothing in dist is like ${find}`);
}
