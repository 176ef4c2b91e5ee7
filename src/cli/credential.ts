/** `clawstore apiserver credential`: a kubeconfig for somebody else than the administrator. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CredentialError, issueCertificate, issueToken, revokeTokens } from '../apiserver/access/credentials.ts';
import { ROLES, type Role, userOf } from '../apiserver/access/roles.ts';
import { kubeconfig } from '../apiserver/pki/kubeconfig.ts';
import { CliError, ExitCode } from './exit-code.ts';
import type { Settings } from './settings.ts';
import { stateDirOf } from './state-dir.ts';
import { parse } from './yaml.ts';

export interface CredentialOptions {
  readonly role: string;
  readonly name: string;
  /** A certificate instead of a token. */
  readonly clientCertificate: boolean;
  /** Take the tokens of this name back instead. */
  readonly revoke: boolean;
  /** URL under which the holder reaches the server; undefined = as the administrator does. */
  readonly server: string | undefined;
}

/** Prints a kubeconfig, or takes tokens back. */
export async function credential(settings: Settings, options: CredentialOptions): Promise<ExitCode> {
  const role = ROLES.find((one) => one === options.role);
  if (role === undefined) {
    throw new CliError(ExitCode.usage, `--role: "${options.role}" must be one of ${ROLES.join(', ')}`);
  }
  const { apiserver } = stateDirOf(settings.stateDir);
  try {
    if (options.revoke) return revoke(apiserver, role, options.name);
    const caPem = authority(apiserver, settings.stateDir);
    const server = serverUrl(options.server, settings.kubeconfig);
    const issued = options.clientCertificate
      ? await issueCertificate(apiserver, role, options.name, Date.now())
      : { token: issueToken(apiserver, role, options.name) };
    process.stdout.write(kubeconfig({ server, caPem, user: userOf(role, options.name).name, credential: issued }));
    return ExitCode.ok;
  } catch (cause) {
    if (cause instanceof CredentialError) throw new CliError(ExitCode.usage, cause.message, { cause });
    throw cause;
  }
}

function revoke(apiserver: string, role: Role, name: string): ExitCode {
  const count = revokeTokens(apiserver, role, name);
  if (count === 0) throw new CliError(ExitCode.failed, `--name: no token was issued to ${role} "${name}"`);
  process.stdout.write(`${count} token${count === 1 ? '' : 's'} of ${role} "${name}" no longer count\n`);
  return ExitCode.ok;
}

function authority(apiserver: string, stateDir: string): string {
  try {
    return readFileSync(join(apiserver, 'ca.crt'), 'utf8');
  } catch (cause) {
    const text = `no control plane has run on ${stateDir} yet: start it first, or name another with --state-dir`;
    throw new CliError(ExitCode.unavailable, text, { cause });
  }
}

function serverUrl(given: string | undefined, file: string): string {
  if (given !== undefined) {
    if (URL.parse(given)?.protocol === 'https:') return given;
    throw new CliError(ExitCode.usage, `--server: "${given}" must be a URL as https://HOST:PORT`);
  }
  try {
    const { clusters } = parse(readFileSync(file, 'utf8')) as { clusters: { cluster: { server: string } }[] };
    const server = clusters[0]?.cluster.server;
    if (server !== undefined) return server;
  } catch {
    // Said below.
  }
  throw new CliError(ExitCode.usage, `--server: ${file} does not say where the server is; name its URL`);
}
