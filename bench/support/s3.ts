/** A real S3 server (versitygw on a directory) and rclone as the product starts it, by hand. */
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { toolPath } from '../../scripts/tools.ts';
import { freePort } from '../../test/support/harness/ports.ts';
import type { Api } from './api.ts';
import { mountsBelow, type Scope, type StartedProcess } from './scope.ts';

const BUCKET = 'bench';
const KEYS = { accessKeyId: 'bench', secretAccessKey: 'bench-secret' };
const REGION = 'us-east-1';
const READY_MS = 60_000;
export const SECRET = 's3-keys';

export class S3 {
  readonly bucket = BUCKET;
  readonly endpoint: string;
  readonly server: StartedProcess;
  readonly #folder: string;
  readonly #client: S3Client;

  private constructor(endpoint: string, folder: string, server: StartedProcess, client: S3Client) {
    this.endpoint = endpoint;
    this.#folder = folder;
    this.server = server;
    this.#client = client;
  }

  /** Starts the server with one bucket, and puts rclone where what is started from now on finds it. */
  static async start(scope: Scope): Promise<S3> {
    process.env['PATH'] = `${dirname(await toolPath('rclone'))}:${process.env['PATH']}`;
    const folder = scope.path('buckets');
    mkdirSync(folder);
    const port = await freePort();
    const args = ['--port', `127.0.0.1:${port}`, '--region', REGION, 'posix', folder];
    const env = { ROOT_ACCESS_KEY: KEYS.accessKeyId, ROOT_SECRET_KEY: KEYS.secretAccessKey };
    const server = scope.start('versitygw', await toolPath('versitygw'), args, env);
    const endpoint = `http://127.0.0.1:${port}`;
    const client = new S3Client({ endpoint, region: REGION, forcePathStyle: true, credentials: KEYS });
    scope.onEnd(() => client.destroy());
    await until('the S3 server to answer', async () => {
      server.assertRunning();
      return await client.send(new CreateBucketCommand({ Bucket: BUCKET })).then(
        () => true,
        () => false,
      );
    });
    return new S3(endpoint, folder, server, client);
  }

  /** The Secret that volumes of this server name. */
  async createSecret(api: Api): Promise<void> {
    const stringData = { AWS_ACCESS_KEY_ID: KEYS.accessKeyId, AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey };
    const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: SECRET }, stringData };
    await api.request('POST', '/api/v1/namespaces/default/secrets', JSON.stringify(secret));
  }

  async put(key: string, body: Uint8Array): Promise<void> {
    await this.#client.send(new PutObjectCommand({ Bucket: BUCKET, Key: key, Body: body }));
  }

  /** Whether the server has an object of this size. */
  has(key: string, size: number): boolean {
    return statSync(join(this.#folder, BUCKET, key), { throwIfNoEntry: false })?.size === size;
  }
}

/** What the product has started for a volume, read from the process itself. */
export class Engine {
  readonly pid: number;
  readonly #argv: readonly string[];
  /** Where it runs: its environment and its cache are there. */
  readonly #directory: string;

  constructor(stateDir: string, uid: string) {
    this.#directory = join(stateDir, 's3', uid);
    this.pid = Number(readFileSync(join(this.#directory, 'process'), 'utf8').split(' ')[0]);
    this.#argv = readFileSync(`/proc/${this.pid}/cmdline`, 'utf8').split('\0').filter(Boolean);
  }

  /** The same program with the same flags for another prefix, without the product. */
  startByHand(scope: Scope, s3: S3, name: string): ByHand {
    const [directory, target] = [scope.path(`${name}-rclone`), scope.path(`${name}-target`)];
    for (const path of [directory, target]) mkdirSync(path);
    const [, , , mounted = ''] = this.#argv;
    const argv = this.#argv.map((arg, index) => {
      if (index === 2) return `${arg.split(':')[0]}:${s3.bucket}/${name}/`;
      if (arg === mounted) return target;
      if (arg.startsWith('--devname=')) return `--devname=${name}`;
      if (arg.startsWith('--cache-dir=')) return `--cache-dir=${join(directory, basename(arg))}`;
      return arg;
    });
    const script = 'set -a; . "$0"; set +a; cd "$1"; shift; exec "$@"';
    const environment = join(this.#directory, 'environment');
    const started = scope.start(`${name}-rclone`, 'sh', ['-c', script, environment, directory, ...argv]);
    return { target, started, mounted: () => mountsBelow(target).length > 0 };
  }
}

export interface ByHand {
  readonly target: string;
  readonly started: StartedProcess;
  mounted(): boolean;
}

/** Waits until it holds; looks every millisecond. @throws Error when that takes longer than a minute. */
export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + READY_MS;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`gave up waiting for ${what}`);
    await delay(1);
  }
}

/** Memory that a process has to itself, and its share of what it shares, in MiB (proc_pid_smaps(5)). */
export function pssOf(pid: number): number {
  const file = `/proc/${pid}/smaps_rollup`;
  if (!existsSync(file)) throw new Error(`process ${pid} is gone`);
  return Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(file, 'utf8'))?.[1]) / 1024;
}

/** Time that a process has computed, user and system, in clock ticks (proc_pid_stat(5)). */
export function ticksOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
