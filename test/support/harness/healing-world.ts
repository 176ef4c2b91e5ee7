/**
 * Volumes of every sort with one or two mounts each, and what must hold when everything has settled: each is Ready, is
 * mounted once at each target, and shows the content that was written.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { SECRETS, VOLUME_MOUNTS, VOLUMES } from '../../../src/api/meta.ts';
import type { Volume, VolumeSpec } from '../../../src/api/volume.ts';
import { exec, run } from './exec.ts';
import { isReady, type Machine } from './machine.ts';
import { mount, volume } from './manifests.ts';
import { mountsAt } from './mounts.ts';
import type { SeededRandom } from './random.ts';
import type { S3Server } from './s3-server.ts';
import { waitFor } from './wait.ts';

export type HealingSort = 'host' | 'image' | 'small' | 'memory' | 's3';

/** One volume with its mounts. */
export interface Patient {
  readonly name: string;
  readonly key: string;
  readonly sort: HealingSort;
  readonly uid: string;
  /** Where it is mounted once, for the sorts that are. */
  readonly stage: string;
  readonly content: string;
  /** Names of its mounts; the first is writable, a second is not. */
  mounts: readonly string[];
}

/**
 * Far below the time after which anything is looked at without an event (600 s; 60 s for limited storage), and only as
 * long as it is so that a loaded machine may take its time.
 */
const SETTLE_MS = 45_000;
const FILE = 'content';

export class HealingWorld {
  readonly machine: Machine;
  readonly namespace: string;
  readonly #random: SeededRandom;
  readonly #endpoint: string;
  #patients: Patient[] = [];
  #serial = 0;

  private constructor(machine: Machine, namespace: string, random: SeededRandom, endpoint: string) {
    this.machine = machine;
    this.namespace = namespace;
    this.#random = random;
    this.#endpoint = endpoint;
  }

  /** `endpoint`: where the S3 server is reached, e.g. through a proxy; its bucket `data` must be there. */
  static async make(machine: Machine, random: SeededRandom, server: S3Server, endpoint: string): Promise<HealingWorld> {
    const namespace = await machine.namespace('healing');
    await machine.client.create(SECRETS, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace, name: 'keys' },
      stringData: {
        AWS_ACCESS_KEY_ID: server.root.accessKeyId,
        AWS_SECRET_ACCESS_KEY: server.root.secretAccessKey,
      },
    });
    return new HealingWorld(machine, namespace, random, endpoint);
  }

  get patients(): readonly Patient[] {
    return this.#patients;
  }

  target(mountName: string): string {
    return this.machine.target(this.namespace, mountName);
  }

  /** Makes a volume, mounts it and writes its content, so that it has reached what keeps it. */
  async admit(sort: HealingSort): Promise<Patient> {
    this.#serial += 1;
    const name = `${sort}-${this.#serial}`;
    const key = `${this.namespace}/${name}`;
    const made = await this.machine.create(volume(this.namespace, name, this.#spec(name, sort)));
    const mounts = this.#random.between(0, 2) === 0 ? [`${name}-a`, `${name}-b`] : [`${name}-a`];
    await this.mountAll(name, mounts);
    const uid = made.metadata.uid ?? '';
    const patient: Patient = {
      name,
      key,
      sort,
      uid,
      mounts,
      stage: join(this.machine.settings.mountRoot, '.volumes', uid),
      content: `${name} ${this.#random.next()}`,
    };
    for (const one of mounts) await this.machine.waitReady(VOLUME_MOUNTS, `${this.namespace}/${one}`, SETTLE_MS);
    await this.write(patient, FILE, patient.content);
    this.#patients.push(patient);
    return patient;
  }

  /** Makes the mounts of a volume; the first is writable, others are not. */
  async mountAll(volumeName: string, mounts: readonly string[]): Promise<void> {
    for (const [index, name] of mounts.entries()) {
      await this.machine.create(mount(this.namespace, name, volumeName, index === 0 ? {} : { readOnly: true }));
    }
  }

  async unmountAll({ mounts }: Patient): Promise<void> {
    for (const name of mounts) await this.machine.delete(VOLUME_MOUNTS, `${this.namespace}/${name}`);
    for (const name of mounts) await this.machine.waitGone(VOLUME_MOUNTS, `${this.namespace}/${name}`, SETTLE_MS);
  }

  /** Asks for the deletion of a volume and its mounts and waits until they are gone. */
  async discharge(patient: Patient): Promise<void> {
    this.#patients = this.#patients.filter((one) => one !== patient);
    for (const name of patient.mounts) await this.machine.delete(VOLUME_MOUNTS, `${this.namespace}/${name}`);
    await this.machine.delete(VOLUMES, patient.key);
    await this.machine.waitGone(VOLUMES, patient.key, SETTLE_MS);
  }

  /** Writes a file through the first mount, and waits until it is where it is kept. */
  async write({ mounts, sort, name }: Patient, file: string, content: string): Promise<void> {
    const path = join(this.target(mounts[0] ?? ''), file);
    if (sort !== 's3') {
      writeFileSync(path, content);
      await run('sync', ['--file-system', path]);
      return;
    }
    // In a process of its own: a mount whose process hangs must not hang the tests.
    await waitFor(async () => (await exec('tee', [path], { input: content, deadline: 5000 })).code === 0, {
      message: `${path} to be written`,
    });
    const cache = join(this.machine.settings.stateDir, 's3');
    // 1 = found nothing; 2 = something went while it looked, which says nothing.
    await waitFor(async () => (await exec('grep', ['-rlE', '"Dirty": ?true', cache])).code === 1, {
      message: `${name} to have sent what was written`,
    });
  }

  /** The process that serves an s3 volume. */
  processOf({ uid }: Patient): number {
    return Number(readFileSync(join(this.machine.settings.stateDir, 's3', uid, 'process'), 'utf8').split(' ')[0]);
  }

  /** Waits until everything is as it should be. @throws Error that names what is not. */
  async settle(): Promise<void> {
    await waitFor(() => this.#unwell().length === 0, {
      deadline: SETTLE_MS,
      message: 'everything to be Ready',
      instead: () => this.#unwell().join('\n'),
    });
    for (const { mounts, content } of this.#patients) {
      for (const name of mounts) {
        const path = join(this.target(name), FILE);
        // A server that was away a moment ago may still be so for the process that serves the mount.
        await waitFor(async () => (await exec('cat', [path], { deadline: 5000 })).stdout === content, {
          deadline: SETTLE_MS,
          message: `the content of ${path}`,
          instead: async () => await exec('cat', [path], { deadline: 5000 }),
        });
      }
    }
  }

  #unwell(): readonly string[] {
    const unwell: string[] = [];
    for (const { key, mounts } of this.#patients) {
      const seen = this.machine.objects.latest<Volume>(VOLUMES, key);
      if (seen === undefined || !isReady(seen)) unwell.push(`Volume ${key}: ${words(seen)}`);
      for (const name of mounts) {
        const mounted = this.machine.objects.latest<Volume>(VOLUME_MOUNTS, `${this.namespace}/${name}`);
        if (mounted === undefined || !isReady(mounted)) unwell.push(`VolumeMount ${name}: ${words(mounted)}`);
        const stack = mountsAt(this.target(name));
        if (stack.length !== 1) unwell.push(`${stack.length} mounts at ${this.target(name)}`);
      }
    }
    return unwell;
  }

  #spec(name: string, sort: HealingSort): VolumeSpec {
    const accessModes = ['ReadWriteMany'] as const;
    switch (sort) {
      case 'host':
        return { hostPath: { path: this.machine.hostDirectory(name) }, accessModes };
      case 'memory':
        return { emptyDir: { medium: 'Memory' }, capacity: '4Mi', accessModes };
      case 's3': {
        const credentialsSecretRef = { name: 'keys' };
        return { s3: { bucket: 'data', prefix: name, endpoint: this.#endpoint, credentialsSecretRef }, accessModes };
      }
      default:
        return { emptyDir: {}, capacity: sort === 'image' ? '320Mi' : '32Mi', accessModes };
    }
  }
}

function words(object: Volume | undefined): string {
  return JSON.stringify(
    object?.status?.conditions?.map(({ type, status, reason, message }) => [type, status, reason, message]),
  );
}
