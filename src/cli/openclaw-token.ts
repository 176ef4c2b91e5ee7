/** The token of the OpenClaw gateway, which never stands in a command line. */
import { readFile } from 'node:fs/promises';
import { CliError, ExitCode } from './exit-code.ts';
import type { Settings } from './settings.ts';

const VARIABLE = 'CLAWSTORE_OPENCLAW_TOKEN';
const LONGEST = 4096;

/** Takes the token out of the environment, so that the programs that we start do not inherit it. */
export function takeOpenClawToken(): string | undefined {
  const token = process.env[VARIABLE]?.trim();
  delete process.env[VARIABLE];
  return token === '' ? undefined : token;
}

/**
 * Reads the token from its file, as it is now, or takes the one from the environment.
 * @throws CliError naming the flag when the file cannot be read or has no token in it.
 */
export async function readOpenClawToken(
  { openclawTokenFile: file }: Pick<Settings, 'openclawTokenFile'>,
  fromEnvironment: string | undefined,
): Promise<string | undefined> {
  if (file === undefined) return fromEnvironment;
  const refuse = (why: string, cause?: unknown): CliError =>
    new CliError(ExitCode.usage, `--openclaw-token-file: ${file} ${why}`, { cause });
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw refuse(`cannot be read (${(cause as NodeJS.ErrnoException).code ?? String(cause)})`, cause);
  });
  const token = text.trim();
  if (token === '') throw refuse('is empty');
  if (token.length > LONGEST || /\s/.test(token)) throw refuse('has more in it than one token');
  return token;
}
