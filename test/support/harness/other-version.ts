/** This build under another version number, in a directory of its own: what an agent of another release is started from. */
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory, onEnd } from './run.ts';

const ROOT = join(import.meta.dirname, '../../..');

/** Gone after the last test. @returns its binary. */
export function otherVersion(version: string): string {
  const directory = makeDirectory(`version-${version}`);
  onEnd(() => rmSync(directory, { recursive: true }));
  for (const part of ['bin', 'dist', 'crds', 'manifests']) {
    cpSync(join(ROOT, part), join(directory, part), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as object;
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ ...manifest, version }));
  return join(directory, 'bin/clawstore');
}
