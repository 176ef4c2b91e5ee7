import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';

const execFileAsync = promisify(execFile);

/** Output of a command that is expected to succeed. @throws Error with the last lines it said. */
export async function output(
  file: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv; readonly timeoutMs?: number } = {},
): Promise<string> {
  try {
    const { stdout } = await execFileAsync(file, args, {
      encoding: 'utf8',
      maxBuffer: 64 * 1024 * 1024,
      timeout: options.timeoutMs ?? 300_000,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    return stdout;
  } catch (error) {
    throw new Error(`${file} ${args.slice(0, 3).join(' ')} failed: ${lastLines(error)}`, { cause: error });
  }
}

function lastLines(error: unknown): string {
  const { stderr, message } = error as { readonly stderr?: string; readonly message?: string };
  const text = stderr === undefined || stderr.trim() === '' ? (message ?? String(error)) : stderr;
  return text.trim().split('\n').slice(-5).join(' / ');
}

/**
 * Runs a long command and gives every line that it writes to `line`.
 * @throws Error with its last lines when it does not exit with 0.
 */
export async function follow(
  file: string,
  args: readonly string[],
  options: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
  line: (text: string) => void,
): Promise<void> {
  const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const last: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      for (const text of lines) {
        last.push(text);
        if (last.length > 20) last.shift();
        line(text);
      }
    });
  }
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  if (code !== 0) throw new Error(`${file} ${args[0] ?? ''} exited with ${code}:\n${last.join('\n')}`);
}
