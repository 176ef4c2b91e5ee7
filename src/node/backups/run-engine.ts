/** Runs an engine so that it ends with whoever wanted it, and ends well where there is time for that. */
import { type ChildProcess, spawn } from 'node:child_process';
import { realpathSync } from 'node:fs';
import type { Readable } from 'node:stream';
import type { HelperContext, RequestContext } from '../helper/context.ts';
import { NodeError } from '../node-error.ts';
import { findProgram } from '../programs.ts';
import { bytesMoved } from '../trees/process.ts';
import { ENGINE_GRACE_MS, type EngineOutcome, type RunEngine } from './operations.ts';
import { enterPrivateMounts } from './private-mounts.ts';

/** Time between two looks at how much it has written. */
const LOOK_MS = 1_000;

export async function runEngine(
  context: HelperContext,
  request: RunEngine,
  call: RequestContext,
): Promise<EngineOutcome> {
  const [name, ...args] = request.argv;
  const program = findProgram(name);
  if (program === undefined) throw new NodeError('Unsupported', `${name} is not installed`);
  const command = guarded([program, ...args]);
  await enterPrivateMounts(context, request, realpathSync(program), call);
  if (call.signal.aborted) throw new NodeError('Aborted', `${name} was not started`);
  return watch(name, command, request, call);
}

/**
 * Three processes deep: when whoever started it dies, timeout(1) gets SIGINT, passes it on, and follows it by SIGKILL; and
 * when that is killed too, so is the program.
 */
function guarded(argv: readonly [string, ...string[]]): readonly [string, ...string[]] {
  const setpriv = findProgram('setpriv');
  const timeout = findProgram('timeout');
  if (setpriv === undefined || timeout === undefined) {
    throw new NodeError('Unsupported', `${setpriv === undefined ? 'setpriv' : 'timeout'} is not installed`);
  }
  const grace = String(ENGINE_GRACE_MS / 1_000);
  // In the foreground it signals the program alone, and once: a second signal would cut its cleaning up short.
  const passOn = [timeout, '--foreground', `--kill-after=${grace}`, '0'] as const;
  return [setpriv, '--pdeathsig', 'INT', '--', ...passOn, setpriv, '--pdeathsig', 'KILL', '--', ...argv];
}

function watch(
  name: string,
  [program, ...args]: readonly [string, ...string[]],
  { cwd, env, stdin }: RunEngine,
  { signal, onProgress, output }: RequestContext,
): Promise<EngineOutcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      detached: true,
      stdio: [stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      cwd,
      env,
    });
    const stop = (): void => void child.kill('SIGINT');
    signal.addEventListener('abort', stop, { once: true });
    const looking = setInterval(() => {
      const moved = child.pid === undefined ? undefined : bytesMoved(child.pid);
      if (moved !== undefined) onProgress?.({ bytesDone: moved.written, bytesTotal: 0n, bytesRead: moved.read });
    }, LOOK_MS);
    const settle = (): void => {
      clearInterval(looking);
      signal.removeEventListener('abort', stop);
    };
    const told = [forward(child.stdout, 'stdout', output), forward(child.stderr, 'stderr', output)];
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(stdin);
    child.on('error', (cause: NodeJS.ErrnoException) => {
      settle();
      reject(new NodeError('Failed', `${name} cannot be started: ${cause.code}`, { cause }));
    });
    // What it has started and left behind would go on without it, and keep its output open.
    child.on('exit', () => killGroup(child));
    child.on('close', (status, ended) => {
      settle();
      if (signal.aborted) return reject(new NodeError('Aborted', `${name} was ended`));
      void Promise.all(told).then(() => resolve({ status: statusOf(status, ended) }), reject);
    });
    if (signal.aborted) stop();
  });
}

/** timeout(1) says 128 and the number itself; only what ends timeout comes as a signal. */
function statusOf(status: number | null, signal: NodeJS.Signals | null): number {
  return status ?? (signal === 'SIGKILL' ? 137 : 128);
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // Nothing is left of it.
  }
}

/** Passes on what comes, each piece once the one before it was taken. Resolves when all was. */
async function forward(
  stream: Readable | null,
  name: 'stdout' | 'stderr',
  output: RequestContext['output'],
): Promise<void> {
  if (stream === null) return;
  for await (const chunk of stream as AsyncIterable<Buffer>) await output?.(name, chunk);
}
