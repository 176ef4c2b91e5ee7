/**
 * What a container runtime makes of a privileged pod with the host's PID namespace and `mountPropagation: Bidirectional`:
 * a cgroup of its own, and a mount namespace of its own in which the node's shared mounts are peers of the node's.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { Cgroup } from './cgroup.ts';
import type { NodeHost } from './nodes.ts';
import { waitFor } from './wait.ts';

export class Pod {
  /** What runs a command in the pod. */
  readonly within: readonly string[];
  readonly #cgroup: Cgroup;
  #namespace: string | undefined;

  constructor(node: NodeHost, name: string) {
    const cgroup = Cgroup.make(name, (cleanup) => node.atEnd(cleanup));
    if (cgroup === undefined) throw new Error('a pod needs a writable cgroup v2 hierarchy');
    this.#cgroup = cgroup;
    node.atEnd(() => cgroup.kill());
    const enter = `echo $$ >'${cgroup.folder}/cgroup.procs'; exec "$@"`;
    const unshare = ['unshare', '--mount', '--propagation', 'unchanged', '--ipc', '--uts'];
    this.within = [...node.within, ...unshare, 'sh', '-ec', enter, name];
  }

  /** Remembers the namespaces of a process that runs in the pod. */
  entered(pid: number): void {
    this.#namespace = mountNamespaceOf(pid);
  }

  /** As a runtime ends a pod: SIGKILL to everything in its cgroup, whereupon its namespaces go. */
  async kill(): Promise<void> {
    await this.#cgroup.kill();
    const namespace = this.#namespace;
    await waitFor(() => pids().every((pid) => mountNamespaceOf(pid) !== namespace), {
      message: `the mount namespace of the pod (${namespace}) to be nobody's`,
      instead: () => pids().filter((pid) => mountNamespaceOf(pid) === namespace),
    });
  }
}

/** E.g. `mnt:[4026531841]`; undefined when the process is gone. */
export function mountNamespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}

function pids(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}
