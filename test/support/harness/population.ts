/**
 * A set of volumes with one mount each that comes and goes while things are killed, and what must hold when everything
 * has settled: what is wanted is mounted once and Ready, and of everything else nothing is left.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type KubeObjectBase, type ResourceDescriptor, VOLUME_MOUNTS, VOLUMES } from '../../../src/api/meta.ts';
import type { Volume, VolumeSpec } from '../../../src/api/volume.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { pathsNamed } from './files.ts';
import { isReady, type Machine } from './machine.ts';
import { mount, volume } from './manifests.ts';
import { loopsBelow, mountsAt, mountsBelow } from './mounts.ts';
import { Hopeless, waitFor } from './wait.ts';

export type Sort = 'host' | 'memory' | 'image';
export const SORTS: readonly Sort[] = ['host', 'memory', 'image'];
const SETTLE_MS = 150_000;

export class Population {
  readonly #machine: Machine;
  readonly #namespace: string;
  readonly #wanted = new Map<string, Sort>();
  readonly #uids = new Map<string, string>();
  readonly #gone = new Map<string, string>();

  constructor(machine: Machine, namespace: string) {
    this.#machine = machine;
    this.#namespace = namespace;
  }

  get names(): readonly string[] {
    return [...this.#wanted.keys()];
  }

  /** Makes a volume and its mount, through any outage. */
  async add(name: string, sort: Sort): Promise<void> {
    this.#wanted.set(name, sort);
    await persist(() => this.#machine.create(volume(this.#namespace, name, this.#spec(name, sort))), 'isAlreadyExists');
    await persist(() => this.#machine.create(mount(this.#namespace, name, name)), 'isAlreadyExists');
    const made = await persist(() => this.#machine.get<Volume>(VOLUMES, this.#key(name)));
    this.#uids.set(name, made?.metadata.uid ?? '');
  }

  /** Asks for the deletion of both, through any outage. */
  async remove(name: string): Promise<void> {
    this.#wanted.delete(name);
    this.#gone.set(name, this.#uids.get(name) ?? '');
    await persist(() => this.#machine.delete(VOLUME_MOUNTS, this.#key(name)), 'isNotFound');
    await persist(() => this.#machine.delete(VOLUMES, this.#key(name)), 'isNotFound');
  }

  /** Lets an image grow. */
  async grow(name: string, capacity: string): Promise<void> {
    await persist(() => this.#machine.patch(VOLUMES, this.#key(name), { spec: { capacity } }));
  }

  isReady(): boolean {
    return this.names.every((name) =>
      [VOLUMES, VOLUME_MOUNTS].every((resource) => {
        const seen = this.#latest(resource, name);
        return seen !== undefined && isReady(seen);
      }),
    );
  }

  isGone(): boolean {
    return [...this.#gone.keys()].every((name) =>
      [VOLUMES, VOLUME_MOUNTS].every((resource) => this.#latest(resource, name) === undefined),
    );
  }

  /** Waits until all is as wanted, and looks for leaks. */
  async settle(): Promise<void> {
    await waitFor(
      async () => {
        await this.#machine.restartLostLeader();
        return this.isReady() && this.isGone() && this.#leaks().length === 0;
      },
      {
        deadline: SETTLE_MS,
        message: 'everything to be as wanted and nothing to be left of the rest',
        instead: () => [...this.#unsettled(), ...this.#leaks()].join('\n'),
      },
    );
    for (const [name, uid] of this.#gone) {
      if (!this.#wanted.has(name)) await this.#machine.waitGone(VOLUMES, this.#key(name));
      this.#gone.delete(name);
      if (uid !== '')
        await waitFor(() => this.#remains(uid).length === 0, { message: `nothing named ${uid} to be left` });
    }
  }

  /** Mounts, loop devices and directories that belong to nothing that is wanted, or are missing. */
  #leaks(): readonly string[] {
    const { mountRoot } = this.#machine.settings;
    const folder = join(mountRoot, this.#namespace);
    const leaks: string[] = [];
    for (const name of this.names) {
      const count = mountsAt(this.#machine.target(this.#namespace, name)).length;
      if (count !== 1) leaks.push(`${name}: ${count} mounts at its target`);
    }
    for (const { target } of mountsBelow(folder)) {
      const name = target.slice(folder.length + 1).split('/')[0] ?? '';
      if (!this.#wanted.has(name)) leaks.push(`left mounted: ${target}`);
    }
    for (const name of existsSync(folder) ? readdirSync(folder) : []) {
      if (!this.#wanted.has(name)) leaks.push(`left behind: ${join(folder, name)}`);
    }
    const images = this.names.filter((name) => this.#wanted.get(name) === 'image').map((name) => this.#uids.get(name));
    for (const loop of loopsBelow(this.#machine.directory)) {
      if (loop.endsWith('.pool') || images.some((uid) => uid !== undefined && loop.includes(uid))) continue;
      leaks.push(`left attached: ${loop}`);
    }
    return leaks;
  }

  #remains(uid: string): readonly string[] {
    const { stateDir, mountRoot } = this.#machine.settings;
    return pathsNamed(uid, stateDir, mountRoot);
  }

  #unsettled(): readonly string[] {
    const left = [...this.#gone.keys()].filter((name) => !this.#wanted.has(name));
    return [...this.names, ...left].flatMap((name) =>
      [VOLUMES, VOLUME_MOUNTS].flatMap((resource) => {
        const seen = this.#latest(resource, name);
        if (seen === undefined) return this.#wanted.has(name) ? [`${resource.kind} ${name} is not seen`] : [];
        if (this.#wanted.has(name) && isReady(seen)) return [];
        return [`${resource.kind} ${name}: ${JSON.stringify((seen as Volume).status?.conditions)}`];
      }),
    );
  }

  #latest(resource: ResourceDescriptor, name: string): KubeObjectBase | undefined {
    return this.#machine.objects.latest(resource, this.#key(name));
  }

  #key(name: string): string {
    return `${this.#namespace}/${name}`;
  }

  #spec(name: string, sort: Sort): VolumeSpec {
    switch (sort) {
      case 'host':
        return { hostPath: { path: join(this.#machine.host, name), type: 'DirectoryOrCreate' } };
      case 'memory':
        return { emptyDir: { medium: 'Memory' }, capacity: '4Mi' };
      default:
        return { emptyDir: {}, capacity: '320Mi' };
    }
  }
}

/** Tries again until the API server has answered; its answer `settled` counts as done. */
async function persist<T>(act: () => Promise<T>, settled?: 'isAlreadyExists' | 'isNotFound'): Promise<T | undefined> {
  const done = await waitFor(
    async () => {
      try {
        return { value: await act() };
      } catch (thrown) {
        const error = KubeError.from(thrown);
        if (settled !== undefined && error[settled]) return { value: undefined };
        if (error.status === 0 || error.status >= 500 || error.status === 429) return undefined;
        throw new Fatal(error);
      }
    },
    { deadline: SETTLE_MS, message: 'the API server to answer' },
  );
  return done.value;
}

/** An answer that trying again does not change. */
class Fatal extends Hopeless {
  override readonly name: string = 'Fatal';
  constructor(cause: KubeError) {
    super(cause.message, { cause });
  }
}
