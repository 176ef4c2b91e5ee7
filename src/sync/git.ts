/**
 * The git program as the sync uses it: by argv, in a private folder, with nothing of the machine's configuration, for one
 * protocol. It writes a bare repository that is a cache: whatever is wrong with it, it is thrown away and fetched anew.
 */
import { join } from 'node:path';
import type { CommandResult, RunCommand } from '../node/operations.ts';
import { cleanText } from '../telemetry/redact.ts';
import { SourceError } from './source.ts';
import type { GitProtocol } from './source-spec.ts';

/** Runs a program of this machine (the node layer does); rejects when it cannot be started or its time is up. */
export type RunProgram = (
  command: RunCommand,
  options: { readonly signal: AbortSignal; readonly deadlineMs: number },
) => Promise<CommandResult>;

/** Variables of our own environment that configure Git on purpose, and are passed on. */
const PASSED_ON: readonly string[] = [
  'GIT_SSH_COMMAND',
  'GIT_SSL_CAINFO',
  'https_proxy',
  'HTTPS_PROXY',
  'http_proxy',
  'no_proxy',
  'NO_PROXY',
];

/** Settings that stand above those of any file. */
const SETTINGS: readonly string[] = [
  'core.hooksPath=/dev/null',
  'core.fsmonitor=false',
  // Links become files with a path in them; they are not read either.
  'core.symlinks=false',
  'core.autocrlf=false',
  'gc.auto=0',
  'maintenance.auto=false',
  'fetch.fsckObjects=true',
  'fetch.recurseSubmodules=false',
  'protocol.version=2',
  'advice.detachedHead=false',
];

/** No file that git writes may become larger: a repository of manifests is small, and the disk is others' too. */
const MAX_FILE_BYTES = 256 * 1024 * 1024;

const LONGEST_MESSAGE = 300;

export interface GitOptions {
  readonly run: RunProgram;
  /** Private to the sync; the home directory of git. */
  readonly directory: string;
  readonly protocol: GitProtocol;
  /** Whether `.git-credentials` in the directory is asked. */
  readonly hasCredentials: boolean;
  /** Our own environment. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Absolute paths of programs. */
  readonly programs: { readonly git: string; readonly prlimit: string | undefined };
}

export interface GitCall {
  readonly signal: AbortSignal;
  readonly deadlineMs: number;
  readonly stdin?: string;
  readonly keepBytes?: number;
  readonly index?: string;
  readonly workTree?: string;
}

/** Runs `git ARGS` on the repository in the private folder. @throws SourceError with what git said, without secrets. */
export async function git(options: GitOptions, args: readonly string[], call: GitCall): Promise<string> {
  const { run, directory, protocol, hasCredentials, environment, programs } = options;
  const { signal, deadlineMs, stdin, keepBytes, index, workTree } = call;
  const settings = hasCredentials ? [...SETTINGS, 'credential.helper=', 'credential.helper=store'] : SETTINGS;
  const limit =
    programs.prlimit === undefined ? [] : [programs.prlimit, `--fsize=${MAX_FILE_BYTES}`, '--', programs.git];
  const [program = programs.git, ...before] = limit;
  const argv = [
    program,
    ...before,
    ...(workTree === undefined ? [] : ['-C', workTree, `--work-tree=${workTree}`]),
    `--git-dir=${repositoryOf(directory)}`,
    ...settings.flatMap((setting) => ['-c', setting]),
    ...args,
  ] as const;
  const passedOn = PASSED_ON.flatMap((name) => {
    const value = environment[name];
    return value === undefined || value === '' ? [] : [[name, value] as const];
  });
  const env = {
    ...Object.fromEntries(passedOn),
    HOME: directory,
    XDG_CONFIG_HOME: join(directory, 'none'),
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ASKPASS: '/bin/false',
    SSH_ASKPASS: '/bin/false',
    GIT_ALLOW_PROTOCOL: protocol,
    ...(index === undefined ? {} : { GIT_INDEX_FILE: index }),
  };
  const command = {
    argv,
    env,
    ...(stdin === undefined ? {} : { stdin }),
    ...(keepBytes === undefined ? {} : { keepBytes }),
  };
  let result: CommandResult;
  try {
    result = await run(command, { signal, deadlineMs });
  } catch (cause) {
    if (signal.aborted) throw signal.reason;
    const message = `git ${args[0]} did not end: ${(cause as Error).message}`;
    throw new SourceError('SourceUnreachable', cleanText(message), { cause });
  }
  if (result.status === 0) return result.stdout;
  throw new SourceError('SourceUnreachable', `git ${args[0]}: ${whatItSaid(result)}`);
}

/** Where the bare repository is. */
export function repositoryOf(directory: string): string {
  return join(directory, 'repository');
}

/** Also what ssh said, which has no word before it; but no advice. */
function whatItSaid({ status, signal, stderr }: CommandResult): string {
  const text = stderr
    .split('\n')
    .map((line) => line.replace(/\p{Cc}+/gu, ' ').trim())
    .filter((line) => line !== '' && !/^(?:hint:|Please make sure|and the repository exists)/.test(line))
    .join('; ');
  const ended = signal === null ? `it ended with ${status}` : `it was ended by ${signal}`;
  return cleanText(text === '' ? ended : text).slice(0, LONGEST_MESSAGE);
}
