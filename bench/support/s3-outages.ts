/** A real S3 server on loopback, with one bucket, that is killed and started again. */
import { mkdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { toolPath } from '../../scripts/tools.ts';
import { freePort, listens } from '../../test/support/harness/ports.ts';
import type { Scope } from './scope.ts';

const READY_MS = 30_000;

export interface S3 {
  readonly endpoint: string;
  readonly bucket: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** SIGKILL. */
  down(): Promise<void>;
  /** Starts it again on the same data and port. */
  up(): Promise<void>;
}

export async function startS3(scope: Scope): Promise<S3> {
  const [binary, port] = [await toolPath('versitygw'), await freePort()];
  const [accessKeyId, secretAccessKey, bucket] = ['bench', 'bench-secret', 'data'];
  for (const folder of ['users', `buckets/${bucket}`]) mkdirSync(scope.path('s3', folder), { recursive: true });
  const args = ['--port', `127.0.0.1:${port}`, '--region', 'us-east-1', '--iam-dir', scope.path('s3/users')];
  const env = { ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey };
  let running: ReturnType<Scope['start']> | undefined;
  const up = async (): Promise<void> => {
    running = scope.start('versitygw', binary, [...args, 'posix', scope.path('s3/buckets')], env);
    const deadline = performance.now() + READY_MS;
    while (!listens(running.pid, port)) {
      running.assertRunning();
      if (performance.now() > deadline) throw new Error('the S3 server does not listen');
      await delay(5);
    }
  };
  await up();
  const down = async (): Promise<void> => await running?.stop('SIGKILL');
  return { endpoint: `http://127.0.0.1:${port}`, bucket, accessKeyId, secretAccessKey, down, up };
}
