import { join } from 'node:path';
import type { TreeSource } from './catalogue.ts';
import { KEYRING, mirror } from './deb.ts';
import { follow, output } from './run.ts';

const TREE_FILE = 'tree.tar';

/** What this machine needs to say to its mirror; all else is as Debian has it. */
const OF_THIS_MACHINE = ['Acquire::Check-Valid-Until', 'Acquire::http::Proxy', 'Acquire::https::Proxy'];

/**
 * Makes the root of a Debian system out of its essential packages and apt, as an archive that base images are made of, and
 * returns its version. It comes from the mirror that this machine uses, and goes on using it.
 */
export async function makeDebianTree(
  source: TreeSource,
  mmdebstrap: string,
  folder: string,
  progress: (text: string) => void,
): Promise<string> {
  const archive = join(folder, TREE_FILE);
  progress(`making a root of Debian ${source.suite} (${source.cost})`);
  const line = `deb [signed-by=${KEYRING}] ${await mirror()} ${source.suite} main`;
  const options = ['--mode=root', '--variant=minbase', '--format=tar', ...(await aptOptions())];
  // It builds the tree in TMPDIR, which may be a small tmpfs.
  const env = { ...process.env, TMPDIR: folder };
  await follow('perl', [mmdebstrap, ...options, source.suite, archive, line], { cwd: folder, env }, () => undefined);
  return (await output('tar', ['-xOf', archive, './etc/debian_version'])).trim();
}

async function aptOptions(): Promise<readonly string[]> {
  const known = await output('apt-config', ['dump', '--format', '%F "%v";%n']);
  const lines = known.split('\n').filter((line) => OF_THIS_MACHINE.some((name) => line.startsWith(`${name} `)));
  return ['Acquire::Retries "2";', ...lines].map((line) => `--aptopt=${line}`);
}
