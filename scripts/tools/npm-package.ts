import { copyFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { NpmSource } from './catalogue.ts';
import { follow } from './run.ts';

const checkout = join(import.meta.dirname, '..', '..');
/** What says which packages, with the hash of each. */
const FILES = ['package.json', 'package-lock.json', '.npmrc'];

/**
 * Installs the packages of a lock file into `folder` and returns their version. No script of theirs runs, and nothing is
 * compiled: what a platform needs beyond plain JavaScript is left out.
 */
export async function installNpmPackages(
  source: NpmSource,
  folder: string,
  progress: (text: string) => void,
): Promise<string> {
  for (const file of FILES) copyFileSync(join(checkout, source.folder, file), join(folder, file));
  progress(`installing ${source.version} from npm (${source.cost})`);
  const cache = join(folder, '.npm-cache');
  // Not `npm ci`: it refuses lock files of npm 11 for packages with one binary per platform. A cache of its own, because
  // what is needed once must not stay twice.
  const args = ['install', '--no-save', '--ignore-scripts', '--omit=optional', '--omit=dev', '--loglevel=error'];
  await follow(
    'npm',
    [...args, '--no-audit', '--no-fund', '--cache', cache],
    { cwd: folder, env: process.env },
    progress,
  );
  rmSync(cache, { recursive: true, force: true });
  return source.version;
}
