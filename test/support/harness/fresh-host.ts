/**
 * The machine as a new user finds it, for tests of the defaults: `/var/lib`, `/run` and `/srv` are empty directories of
 * the run, seen by this suite's mount namespace alone, and no setting of clawstore is in the environment.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { toolPath } from '../../../scripts/tools.ts';
import { run } from './exec.ts';
import { mountsBelow, unmount } from './mounts.ts';
import { makeDirectory } from './run.ts';

export const CHECKOUT = join(import.meta.dirname, '../../..');
export const STATE_DIR = '/var/lib/clawstore';
export const MOUNT_ROOT = '/run/clawstore/mounts';
const COVERED = ['/var/lib', '/run', '/srv'];

export class FreshHost {
  readonly directory: string;
  /** Environment of a user's shell; undefined takes a variable away. */
  readonly env: Readonly<Record<string, string | undefined>>;

  private constructor(directory: string, kubectl: string) {
    this.directory = directory;
    const ours = Object.keys(process.env).filter((name) => name.startsWith('CLAWSTORE_') || name.startsWith('RUN_'));
    this.env = {
      ...Object.fromEntries([...ours, 'KUBECONFIG', 'MAKEFLAGS', 'MAKELEVEL'].map((name) => [name, undefined])),
      PATH: `${dirname(kubectl)}:${process.env['PATH']}`,
      KUBECACHEDIR: join(directory, 'kube-cache'),
      // What kubectl and apt put aside must not outlive the run.
      TMPDIR: directory,
    };
  }

  static async prepare(): Promise<FreshHost> {
    const host = new FreshHost(makeDirectory('host'), await toolPath('kubectl'));
    // What a clawstore of this machine has mounted is copied into the suite's namespace: it must not be seen here.
    await unmountAll();
    for (const path of COVERED) {
      const own = join(host.directory, path);
      mkdirSync(own, { recursive: true });
      mkdirSync(path, { recursive: true });
      await run('mount', ['--bind', own, path]);
    }
    return host;
  }

  /** Uncovers the host. @throws Error when something was still mounted in the covered directories. */
  async end(): Promise<void> {
    const left = await unmountAll();
    for (const path of COVERED.toReversed()) await unmount(path);
    await run('chattr', ['-R', '-f', '-i', this.directory]).catch(() => undefined);
    rmSync(this.directory, { recursive: true, force: true });
    if (left.length > 0) throw new Error(`left mounted: ${left.join(', ')}`);
  }
}

/** Unmounts, in this suite's namespace alone, whatever lies where clawstore mounts by default. */
async function unmountAll(): Promise<readonly string[]> {
  const left = [STATE_DIR, dirname(MOUNT_ROOT)].flatMap((path) => mountsBelow(path)).map(({ target }) => target);
  for (const target of left.toReversed()) await run('umount', ['--lazy', target]);
  return left;
}
