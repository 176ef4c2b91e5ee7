/** Runs a program to its end. */
import { spawn } from 'node:child_process';

export interface ExecOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Given on standard input. */
  readonly input?: string;
  /** Milliseconds until it is killed; generous when absent, because it only decides how long a failure takes. */
  readonly deadline?: number;
  readonly cwd?: string;
}

export interface ExecResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const DEADLINE_MS = 180_000;

/** Never throws for how the program ends; 128 stands for a signal. @throws Error when it cannot be started. */
export function exec(command: string, args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, [...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
      timeout: options.deadline ?? DEADLINE_MS,
      killSignal: 'SIGKILL',
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.stdin.on('error', () => undefined); // it may end without reading
    child.stdin.end(options.input ?? '');
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (signal !== null) stderr += `\n(ended by ${signal})`;
      resolve({ code: code ?? 128, stdout, stderr });
    });
  });
}

/** The same, for what must succeed. @throws Error with its output when it does not. */
export async function run(command: string, args: readonly string[], options: ExecOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await exec(command, args, options);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}:\n${stderr}${stdout}`);
  return stdout;
}
