/** A cgroup of the test's own: what a container runtime or systemd kills when it stops a unit. Source: cgroups(7). */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRunning } from './daemon.ts';
import { mountTable } from './mounts.ts';
import { type Cleanup, onEnd, runID } from './run.ts';
import { waitFor } from './wait.ts';

export class Cgroup {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Undefined on a machine without cgroup v2. It is removed after the last test, or when `atEnd` says. */
  static make(name: string, atEnd: (cleanup: Cleanup) => void = onEnd): Cgroup | undefined {
    const root = mountTable().find(({ fsType, options }) => fsType === 'cgroup2' && options.includes('rw'))?.target;
    if (root === undefined) return undefined;
    const folder = join(root, `test-${runID}-${name}`);
    mkdirSync(folder);
    const cgroup = new Cgroup(folder);
    atEnd(() => cgroup.#remove());
    return cgroup;
  }

  /** Moves a process here; what it starts from now on is here too. */
  add(pid: number): void {
    writeFileSync(join(this.folder, 'cgroup.procs'), String(pid));
  }

  /** SIGKILL to every process in it, however it was started; waits until none of them runs. */
  async kill(): Promise<void> {
    const procs = new Set(this.#members());
    writeFileSync(join(this.folder, 'cgroup.kill'), '1');
    // A process that ends leaves its namespaces and its cgroup before it is a zombie: the process itself is asked.
    const left = (): readonly number[] => {
      // Some may have been forked since the first look.
      for (const pid of this.#members()) procs.add(pid);
      return [...procs].filter(isRunning);
    };
    await waitFor(() => left().length === 0, { message: `the processes of ${this.folder} to end`, instead: left });
  }

  #members(): readonly number[] {
    return readFileSync(join(this.folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number);
  }

  async #remove(): Promise<void> {
    await waitFor(
      () => {
        rmdirSync(this.folder);
        return true;
      },
      { message: `${this.folder} to be empty` },
    );
  }
}
