import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { cacheRoot } from './cache.ts';
import type { DebSource } from './catalogue.ts';
import { output } from './run.ts';

/** The keys of Debian's archive. */
export const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * Unpacks Debian packages into `folder` and returns the version of the first. Nothing is installed: packages of another
 * suite come through a private apt root that uses the machine's own mirror, and `dpkg-deb -x` only writes below `folder`.
 */
export async function unpackDebs(source: DebSource, folder: string, progress: (text: string) => void): Promise<string> {
  const options = source.suite === 'system' ? [] : await privateRoot(source.suite, progress);
  const archives = join(folder, '.archives');
  mkdirSync(archives);
  progress(`downloading ${source.packages.join(', ')} (Debian ${source.suite})`);
  const download = (): Promise<string> =>
    output('apt-get', [...options, '-qq', '-o', 'APT::Sandbox::User=root', 'download', ...source.packages], {
      cwd: archives,
    });
  if (source.suite === 'system') {
    // A machine that never asked its mirror, or asked long ago, does not know the file's name: ask once and try again.
    await download().catch(async () => {
      await output('apt-get', ['-qq', 'update']).catch(() => '');
      return await download();
    });
  } else {
    await download();
  }
  for (const file of readdirSync(archives)) await output('dpkg-deb', ['-x', join(archives, file), folder]);
  const first = readdirSync(archives).find((file) => file.startsWith(`${source.packages[0] ?? ''}_`)) ?? '';
  const version = await output('dpkg-deb', ['-f', join(archives, first), 'Version']);
  rmSync(archives, { recursive: true });
  for (const program of source.withOwnLibc ?? []) startWithOwnLibc(folder, program);
  return version.trim();
}

/** Where libc6 puts its files, and how programs of Debian name its loader (ld.so(8)). */
const LIBRARIES = 'usr/lib/x86_64-linux-gnu';
const LOADER = '/lib64/ld-linux-x86-64.so.2';

/**
 * Puts a script in a program's place that starts it with the C library unpacked beside it. The kernel takes the loader's
 * name as it stands in the program, so that becomes a relative one; the loader as a command (`ld.so PROGRAM`) would lie where
 * some programs want their memory. The folder may still be moved.
 */
function startWithOwnLibc(folder: string, program: string): void {
  const file = join(folder, program);
  const named = Buffer.from(`${LOADER}\0`);
  const bytes = readFileSync(file);
  const at = bytes.indexOf(named);
  if (at === -1) throw new Error(`${program} does not name the loader ${LOADER}`);
  bytes.fill(0, at, at + named.length).write(basename(LOADER), at);
  writeFileSync(`${file}.program`, bytes, { mode: 0o755 });
  const up = relative(LIBRARIES, program);
  const script = `#!/bin/sh
cd "\${0%/*}/${relative(dirname(program), LIBRARIES)}" && LD_LIBRARY_PATH=$PWD exec ${up}.program "$@"
`;
  writeFileSync(file, script, { mode: 0o755 });
}

/** apt options for a suite that the machine itself does not use; its package lists live in the cache. */
async function privateRoot(suite: string, progress: (text: string) => void): Promise<readonly string[]> {
  const root = join(cacheRoot(), 'apt', suite);
  for (const part of ['state/lists/partial', 'cache/archives/partial', 'sources.d', 'preferences.d']) {
    mkdirSync(join(root, part), { recursive: true });
  }
  writeFileSync(join(root, 'state/status'), '');
  writeFileSync(join(root, 'preferences'), '');
  const signedBy = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : '';
  writeFileSync(join(root, 'sources.list'), `deb ${signedBy}${await mirror()} ${suite} main\n`);
  const options = Object.entries({
    'Dir::State': join(root, 'state'),
    'Dir::State::status': join(root, 'state/status'),
    'Dir::Cache': join(root, 'cache'),
    'Dir::Etc::sourcelist': join(root, 'sources.list'),
    'Dir::Etc::sourceparts': join(root, 'sources.d'),
    'Dir::Etc::preferences': join(root, 'preferences'),
    'Dir::Etc::preferencesparts': join(root, 'preferences.d'),
    'Acquire::Languages': 'none',
    'Acquire::Retries': '2',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled': 'false',
    'APT::Sandbox::User': 'root',
  }).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  progress(`reading the package lists of Debian ${suite}`);
  await output('apt-get', [...options, '-qq', 'update']);
  return options;
}

/** The Debian mirror that this machine already uses. @throws Error where apt knows none. */
export async function mirror(): Promise<string> {
  const known = await output('apt-get', [
    'indextargets',
    '--format',
    '$(ORIGIN)|$(LABEL)|$(REPO_URI)',
    'Created-By: Packages',
  ]);
  const rows = known.split('\n').map((row) => row.split('|'));
  // Before the first `apt-get update` origin and label are unknown; the usual ending of the address must do then.
  const row =
    rows.find(([origin, label]) => origin === 'Debian' && label === 'Debian') ??
    rows.find(([, , uri]) => uri !== undefined && /\/debian\/?$/.test(uri));
  const uri = row?.[2];
  if (uri === undefined || uri === '') {
    throw new Error('apt knows no Debian mirror on this machine: name the binaries by environment variables instead');
  }
  return uri;
}
