/** Credentials that are issued beside the administrator's: tokens, kept as hashes, and client certificates. */
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { isSubdomain } from '../../api/names.ts';
import { issueClientPair, type KeyPair, readAuthority } from '../pki/certificates.ts';
import { writePrivate } from '../storage/private-file.ts';
import { type KnownToken, sha256, type TokenSource } from './authenticator.ts';
import { GROUP_OF, ROLES, type Role, userOf } from './roles.ts';

/** A credential that cannot be issued or taken back; the message says why. */
export class CredentialError extends Error {
  override readonly name = 'CredentialError';
}

/** One line of the file. */
interface IssuedToken {
  readonly role: Role;
  readonly name: string;
  /** SHA-256 of the token, hex. */
  readonly hash: string;
}

const FILE = 'tokens.json';
/** How often a server looks whether tokens were issued or taken back. */
const LOOK_MS = 1000;

/** Issues a token. It works at once, also on a server that runs. Throws CredentialError. */
export function issueToken(stateDir: string, role: Role, name: string): string {
  checkName(role, name);
  const token = randomBytes(32).toString('base64url');
  write(stateDir, [...read(stateDir), { role, name, hash: sha256(token).toString('hex') }]);
  return token;
}

/** Issues a client certificate, which is good for a year and cannot be taken back. Throws CredentialError. */
export async function issueCertificate(stateDir: string, role: Role, name: string, now: number): Promise<KeyPair> {
  checkName(role, name);
  const authority = readAuthority(stateDir);
  if (authority === undefined) throw new CredentialError(`${stateDir} has no certificates yet: start the server first`);
  return issueClientPair(authority, userOf(role, name).name, GROUP_OF[role], now);
}

/** Takes the tokens of a name back; a server that runs knows a second later. Returns how many there were. */
export function revokeTokens(stateDir: string, role: Role, name: string): number {
  const all = read(stateDir);
  const kept = all.filter((one) => one.role !== role || one.name !== name);
  if (kept.length < all.length) write(stateDir, kept);
  return all.length - kept.length;
}

/**
 * The tokens that count: those given and those issued, looked up again when the file has changed. A file that cannot be
 * read is reported, and lets nobody in.
 */
export function tokenSource(
  stateDir: string,
  given: readonly KnownToken[],
  onError: (error: Error) => void,
): TokenSource {
  let looked = Number.NEGATIVE_INFINITY;
  let version = '';
  let tokens = given;
  return (fresh) => {
    const now = performance.now();
    if (!fresh && now - looked < LOOK_MS) return tokens;
    looked = now;
    const stat = statSync(join(stateDir, FILE), { bigint: true, throwIfNoEntry: false });
    const seen = stat === undefined ? '' : `${stat.ino} ${stat.mtimeNs} ${stat.size}`;
    if (seen !== version) {
      version = seen;
      tokens = given;
      try {
        const issued = read(stateDir).map(({ role, name, hash }) => ({
          hash: Buffer.from(hash, 'hex'),
          user: userOf(role, name),
        }));
        tokens = [...given, ...issued];
      } catch (error) {
        onError(error as Error);
      }
    }
    return tokens;
  };
}

function checkName(role: Role, name: string): void {
  if (role === 'node' ? isSubdomain(name) : /^[A-Za-z0-9][A-Za-z0-9@._-]{0,62}$/.test(name)) return;
  const wanted = role === 'node' ? 'the name of a node' : 'up to 63 letters, digits and any of @ . _ -';
  throw new CredentialError(`--name: "${name}" must be ${wanted}`);
}

function read(stateDir: string): readonly IssuedToken[] {
  let text: string;
  try {
    text = readFileSync(join(stateDir, FILE), 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw cause;
  }
  try {
    const { tokens } = JSON.parse(text) as { readonly tokens: readonly IssuedToken[] };
    // A line that is not understood gives nobody a right.
    return tokens.filter(({ role, name, hash }) => ROLES.includes(role) && name !== '' && /^[0-9a-f]{64}$/.test(hash));
  } catch (cause) {
    throw new CredentialError(`${join(stateDir, FILE)} is damaged: restore it, or remove it and issue tokens again`, {
      cause,
    });
  }
}

function write(stateDir: string, tokens: readonly IssuedToken[]): void {
  writePrivate(join(stateDir, FILE), `${JSON.stringify({ tokens }, null, 1)}\n`);
}
