/** What the tests of engines share: the three versions of restic, places, repositories that open at once. */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type {
  BackupEngine,
  BackupProgress,
  BackupSummary,
  RepositoryAccess,
  RestoreRequest,
  RestoreSummary,
} from '../../../src/backup/engine.ts';
import { SOURCE_ROOT } from '../../../src/backup/engine.ts';
import { createResticEngine, type ResticOptions } from '../../../src/backup/restic/engine.ts';
import type { RunEngine } from '../../../src/node/backups/operations.ts';
import type { NodeLayer } from '../../../src/node/layer.ts';
import { type Place, soon } from '../../node/support.ts';
import { cheapen } from '../../support/harness/restic-key.ts';

export const PASSWORD = 'test-password-1';
export const SOURCE = `${SOURCE_ROOT}/ns/vol`;

/** Those of Debian 12, Debian 13, and the newest. */
export const VERSIONS = ['0.14', '0.18', '0.19'] as const;
export type ResticVersion = (typeof VERSIONS)[number];

/** Path of the program. */
export function resticOf(version: ResticVersion): string {
  const name = `RESTIC_${version.replace('.', '_')}`;
  const path = process.env[name];
  if (path === undefined) throw new Error(`${name} is not set: the suite must name the tool in scripts/suites.ts`);
  return path;
}

const COMMANDS = [
  'backup',
  'cat',
  'check',
  'dump',
  'find',
  'forget',
  'init',
  'list',
  'ls',
  'prune',
  'restore',
  'snapshots',
  'tag',
];

/** One version in one place, with shorter words for what most tests do. */
export class EngineWorld {
  readonly engine: BackupEngine;
  readonly place: Place;
  readonly version: ResticVersion;
  /** Commands of restic that were run, `snapshots` for one. */
  readonly runs: string[] = [];
  #count = 0;
  #template: Promise<string> | undefined;

  constructor(place: Place, version: ResticVersion, options: Omit<ResticOptions, 'program'> = {}) {
    this.place = place;
    this.version = version;
    const program = resticOf(version);
    const node: Pick<NodeLayer, 'call'> = {
      call: (operation, params, callOptions) => {
        const argv = operation === 'runEngine' ? (params as RunEngine).argv : [];
        if (argv[0] === program) this.runs.push(argv.find((word) => COMMANDS.includes(word)) ?? '');
        return place.layer.call(operation, params, callOptions);
      },
    };
    this.engine = createResticEngine(node, { ...options, program });
  }

  get isOld(): boolean {
    return this.version === '0.14';
  }

  /** A name that nothing in this world has yet. */
  fresh(name: string): string {
    this.#count += 1;
    return `${name}-${this.version}-${this.#count}`;
  }

  /** A directory below the place's data, filled by the caller. */
  directory(name: string): { readonly path: string; readonly own: { readonly root: string; readonly path: string } } {
    const fresh = this.fresh(name);
    mkdirSync(join(this.place.data, fresh));
    return { path: join(this.place.data, fresh), own: { root: this.place.data, path: fresh } };
  }

  access(path: string, overrides: Partial<RepositoryAccess> = {}): RepositoryAccess {
    return {
      location: { type: 'directory', directory: { own: { root: this.place.data, path } } },
      password: PASSWORD,
      cacheDirectory: { root: this.place.layer.stateDir, path: `cache-${this.version}` },
      ...overrides,
    };
  }

  /** A repository in a directory that opens at once: a copy of one that was made before, with a cache of its own. */
  async repository(): Promise<RepositoryAccess & { readonly path: string }> {
    this.#template ??= this.#makeTemplate();
    const name = this.fresh('repository');
    const path = join(this.place.data, name);
    cpSync(await this.#template, path, { recursive: true });
    const cacheDirectory = { root: this.place.layer.stateDir, path: `cache-of-${name}` };
    return { ...this.access(name), cacheDirectory, path };
  }

  async #makeTemplate(): Promise<string> {
    const name = this.fresh('template');
    await this.engine.initialize(this.access(name), soon());
    const path = join(this.place.data, name);
    cheapen(path, PASSWORD);
    return path;
  }

  backup(
    access: RepositoryAccess,
    source: string,
    request: Partial<Parameters<BackupEngine['backup']>[1]> = {},
    { onProgress, signal = soon() }: { onProgress?: (progress: BackupProgress) => void; signal?: AbortSignal } = {},
  ): Promise<BackupSummary> {
    const own = { root: this.place.data, path: source.slice(this.place.data.length + 1) };
    return this.engine.backup(
      access,
      {
        source: { path: SOURCE, entries: [{ name: 'data', directory: { own } }] },
        host: 'node-a',
        tags: { kind: 'volume' },
        ...request,
      },
      onProgress ?? (() => undefined),
      signal,
    );
  }

  restore(
    access: RepositoryAccess,
    snapshotId: string,
    target: string,
    request: Partial<RestoreRequest> = {},
    signal: AbortSignal = soon(),
  ): Promise<RestoreSummary> {
    const own = { root: this.place.data, path: target.slice(this.place.data.length + 1) };
    return this.engine.restore(
      access,
      {
        snapshotId,
        sourcePath: '/data',
        target: { directory: { own } },
        include: [],
        existingFiles: 'Overwrite',
        dryRun: false,
        verify: true,
        ...request,
      },
      () => undefined,
      signal,
    );
  }
}
