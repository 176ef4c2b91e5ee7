/** This build under another version number, in a directory of its own: what an agent of another release is started from. */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectory } from './run.ts';

const ROOT = join(import.meta.dirname, '../../..');

/** @returns its binary. */
export function otherVersion(version: string): string {
  const directory = makeDirectory(`version-${version}`);
  for (const part of ['bin', 'dist', 'crds', 'manifests']) {
    cpSync(join(ROOT, part), join(directory, part), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as object;
  writeFileSync(join(directory, 'package.json'), JSON.stringify({ ...manifest, version }));
  return join(directory, 'bin/clawstore');
}
