/**
 * A real S3 server that verifies signatures (versitygw on a directory), on loopback: users, buckets, versions, TLS with an
 * authority of its own, killed and started again.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import * as sdk from '@aws-sdk/client-s3';
import { servingPair } from '../../../src/apiserver/pki/certificates.ts';
import { writePrivate } from '../../../src/apiserver/storage/private-file.ts';
import type { S3Location } from '../../../src/s3/location.ts';
import { Daemon } from './daemon.ts';
import { run } from './exec.ts';
import { freePort, listens } from './ports.ts';
import { cheapKey } from './restic-key.ts';
import { makeDirectory, onEnd } from './run.ts';
import { waitFor } from './wait.ts';

export interface S3User {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface S3ServerOptions {
  readonly tls?: boolean;
  readonly region?: string;
  /** Where it listens; loopback when absent. */
  readonly address?: string;
}

const ROOT: S3User = { accessKeyId: 'test-root', secretAccessKey: 'test-root-secret' };

export class S3Server {
  readonly directory: string;
  readonly port: number;
  readonly region: string;
  readonly root = ROOT;
  /** PEM of the authority that signed its certificate; undefined without TLS. */
  readonly ca: string | undefined;
  readonly #binary: string;
  #daemon: Daemon | undefined;
  #client: sdk.S3Client | undefined;

  readonly #address: string;

  private constructor(
    directory: string,
    [address, port]: readonly [string, number],
    region: string,
    ca: string | undefined,
  ) {
    const binary = process.env['VERSITYGW'];
    if (binary === undefined)
      throw new Error('VERSITYGW is not set: the suite must name the tool in scripts/suites.ts');
    this.#binary = binary;
    this.directory = directory;
    this.#address = address;
    this.port = port;
    this.region = region;
    this.ca = ca;
  }

  /** Starts one; it ends with the run. */
  static async start({
    tls = false,
    region = 'us-east-1',
    address = '127.0.0.1',
  }: S3ServerOptions = {}): Promise<S3Server> {
    const directory = makeDirectory('s3');
    for (const name of ['buckets', 'versions', 'users', 'tls']) mkdirSync(join(directory, name));
    let ca: string | undefined;
    if (tls) {
      const pair = await servingPair(join(directory, 'tls'), [address], Date.now());
      writePrivate(join(directory, 'tls/serving.key'), pair.key);
      ca = pair.ca;
    }
    const server = new S3Server(directory, [address, await freePort()], region, ca);
    onEnd(() => server.end());
    await server.up();
    return server;
  }

  get endpoint(): string {
    return `${this.ca === undefined ? 'http' : 'https'}://${this.#address}:${this.port}`;
  }

  /** Starts it again on the same data and port. */
  async up(): Promise<void> {
    const tls = join(this.directory, 'tls');
    const daemon = new Daemon({
      name: 'versitygw',
      command: this.#binary,
      logFile: join(this.directory, 'log'),
      args: [
        '--port',
        `${this.#address}:${this.port}`,
        '--region',
        this.region,
        '--iam-dir',
        join(this.directory, 'users'),
        ...(this.ca === undefined ? [] : ['--cert', join(tls, 'server.crt'), '--key', join(tls, 'server.key')]),
        'posix',
        '--versioning-dir',
        join(this.directory, 'versions'),
        join(this.directory, 'buckets'),
      ],
      env: { ROOT_ACCESS_KEY: ROOT.accessKeyId, ROOT_SECRET_KEY: ROOT.secretAccessKey },
    });
    this.#daemon = daemon;
    await waitFor(
      () => {
        daemon.assertRunning();
        return listens(daemon.pid, this.port);
      },
      { message: 'the S3 server to listen', instead: () => daemon.tail() },
    );
  }

  /** SIGKILL: connections are refused until `up`. */
  async down(): Promise<void> {
    await this.#daemon?.kill();
  }

  get isUp(): boolean {
    return this.#daemon?.exit === undefined;
  }

  /** Stops answering without closing anything, as a hung server does; `signal('SIGCONT')` ends that. */
  signal(signal: NodeJS.Signals): void {
    this.#daemon?.signal(signal);
  }

  async end(): Promise<void> {
    this.#client?.destroy();
    await this.#daemon?.killGroup();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** As the root user. */
  get client(): sdk.S3Client {
    this.#client ??= new sdk.S3Client({
      endpoint: this.endpoint,
      region: this.region,
      forcePathStyle: true,
      credentials: ROOT,
      ...(this.ca === undefined ? {} : { requestHandler: { httpsAgent: { ca: this.ca } } }),
    });
    return this.#client;
  }

  async createBucket(
    Bucket: string,
    options: { readonly lock?: boolean; readonly versions?: boolean } = {},
  ): Promise<void> {
    await this.client.send(
      new sdk.CreateBucketCommand({ Bucket, ...(options.lock === true ? { ObjectLockEnabledForBucket: true } : {}) }),
    );
    if (options.versions === true) {
      const VersioningConfiguration = { Status: 'Enabled' } as const;
      await this.client.send(new sdk.PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
    }
  }

  /** `admin` may use every bucket, `user` none that is not its own. */
  async createUser({ accessKeyId, secretAccessKey }: S3User, role: 'admin' | 'user'): Promise<void> {
    await this.#admin('create-user', '--access', accessKeyId, '--secret', secretAccessKey, '--role', role);
  }

  async deleteUser({ accessKeyId }: S3User): Promise<void> {
    await this.#admin('delete-user', '--access', accessKeyId);
  }

  /** Writes objects with their key as content. */
  async put(Bucket: string, ...keys: readonly string[]): Promise<void> {
    for (const Key of keys) await this.client.send(new sdk.PutObjectCommand({ Bucket, Key, Body: Key }));
  }

  /** Content of an object; undefined when it is not there. */
  async read(Bucket: string, Key: string): Promise<string | undefined> {
    try {
      const { Body } = await this.client.send(new sdk.GetObjectCommand({ Bucket, Key }));
      return await Body?.transformToString();
    } catch (thrown) {
      if (thrown instanceof sdk.NoSuchKey) return undefined;
      throw thrown;
    }
  }

  async sha256(Bucket: string, Key: string): Promise<string> {
    const { Body } = await this.client.send(new sdk.GetObjectCommand({ Bucket, Key }));
    return createHash('sha256')
      .update((await Body?.transformToByteArray()) ?? '')
      .digest('hex');
  }

  /** Every key of a bucket. */
  async keys(Bucket: string, Prefix = ''): Promise<readonly string[]> {
    const keys: string[] = [];
    for await (const { Contents = [] } of sdk.paginateListObjectsV2({ client: this.client }, { Bucket, Prefix })) {
      keys.push(...Contents.map(({ Key = '' }) => Key));
    }
    return keys;
  }

  /** Makes the keys of a repository of restic open at once. */
  async cheapenKeys(Bucket: string, prefix: string, password: string): Promise<void> {
    for (const Key of await this.keys(Bucket, `${prefix}/keys/`)) {
      const { Body } = await this.client.send(new sdk.GetObjectCommand({ Bucket, Key }));
      const cheap = cheapKey(Buffer.from((await Body?.transformToByteArray()) ?? []), password);
      const to = `${prefix}/keys/${cheap.name}`;
      await this.client.send(new sdk.PutObjectCommand({ Bucket, Key: to, Body: cheap.content }));
      await this.client.send(new sdk.DeleteObjectCommand({ Bucket, Key }));
    }
  }

  /** What is on its disk for a bucket, past its own API. */
  filesOnDisk(bucket: string): number {
    return readdirSync(join(this.directory, 'buckets', bucket), { recursive: true }).filter((name) =>
      statSync(join(this.directory, 'buckets', bucket, String(name))).isFile(),
    ).length;
  }

  /** A location on this server, for the root user. */
  location(bucket: string, prefix: string, overrides: Partial<S3Location> = {}): S3Location {
    return {
      bucket,
      prefix,
      endpoint: this.endpoint,
      region: this.region,
      forcePathStyle: true,
      checksums: 'WhenRequired',
      credentials: { ...ROOT, sessionToken: undefined },
      caBundle: this.ca,
      ...overrides,
    };
  }

  async #admin(...args: readonly string[]): Promise<void> {
    const who = ['--access', ROOT.accessKeyId, '--secret', ROOT.secretAccessKey, '--region', this.region];
    const insecure = this.ca === undefined ? [] : ['--allow-insecure'];
    await run(this.#binary, ['admin', ...who, '--endpoint-url', this.endpoint, ...insecure, ...args]);
  }
}
