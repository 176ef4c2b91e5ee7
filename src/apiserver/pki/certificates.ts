import { X509Certificate } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { writePrivate } from '../storage/private-file.ts';
import type { generate } from './selfsigned.ts';

/** A certificate with its key, in PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

/** What TLS needs. */
export interface ServingPair extends KeyPair {
  /** The certificate of the authority that clients trust. */
  readonly ca: string;
}

const DAY_MS = 86_400_000;
const CA_DAYS = 3650;
const SERVER_DAYS = 365;
/** As kubeadm has it. */
const CLIENT_DAYS = 365;
/** A certificate is replaced when less than this part of its life is left. */
const RENEW_PART = 1 / 3;

/**
 * Returns the serving certificate for `hosts`, kept in `directory` (files 0600) with its authority. The certificate is made
 * anew when a third of its life is left or a host is missing; the authority then stays, so that clients go on.
 */
export async function servingPair(directory: string, hosts: readonly string[], now: number): Promise<ServingPair> {
  const ca = await loadOrMake(directory, 'ca', CA_DAYS, [], now, undefined);
  const names = [
    ...new Set([...hosts, 'localhost', '127.0.0.1', '::1', hostname(), 'kubernetes', 'kubernetes.default.svc']),
  ];
  const server = await loadOrMake(directory, 'server', SERVER_DAYS, names, now, ca);
  return { ...server, ca: ca.cert };
}

/** The addresses of this machine: what a listener on all interfaces can be reached by. */
export function localAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .map(({ address }) => address)
    .filter((address) => !address.includes('%'));
}

async function loadOrMake(
  directory: string,
  name: string,
  days: number,
  hosts: readonly string[],
  now: number,
  ca: KeyPair | undefined,
): Promise<KeyPair> {
  const certFile = join(directory, `${name}.crt`);
  const keyFile = join(directory, `${name}.key`);
  if (existsSync(certFile) && existsSync(keyFile)) {
    const pair = { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
    if (isUsable(pair, days, hosts, now, ca)) return pair;
  }
  const pair = await make(name, days, hosts, now, ca);
  writePrivate(keyFile, pair.key);
  writePrivate(certFile, pair.cert);
  return pair;
}

function isUsable(
  pair: KeyPair,
  days: number,
  hosts: readonly string[],
  now: number,
  ca: KeyPair | undefined,
): boolean {
  try {
    const certificate = new X509Certificate(pair.cert);
    if (certificate.validToDate.getTime() - now < days * DAY_MS * RENEW_PART) return false;
    if (ca !== undefined && !certificate.checkIssued(new X509Certificate(ca.cert))) return false;
    return hosts.every((host) =>
      isAddress(host) ? certificate.checkIP(host) !== undefined : certificate.checkHost(host) !== undefined,
    );
  } catch {
    // A damaged file is replaced.
    return false;
  }
}

async function make(
  name: string,
  days: number,
  hosts: readonly string[],
  now: number,
  ca: KeyPair | undefined,
): Promise<KeyPair> {
  if (ca === undefined) {
    const authority = [{ name: 'commonName', value: `clawstore-ca-${Math.trunc(now / 1000)}` }];
    return sign(authority, days, now, undefined, [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, digitalSignature: true, critical: true },
    ]);
  }
  return sign([{ name: 'commonName', value: `clawstore-${name}` }], days, now, ca, [
    ...leafOf('serverAuth'),
    {
      name: 'subjectAltName',
      altNames: hosts.map((host) => (isAddress(host) ? { type: 7, ip: host } : { type: 2, value: host })),
    },
  ]);
}

/** The authority in a state directory; undefined where no server has made one yet. */
export function readAuthority(directory: string): KeyPair | undefined {
  const [certFile, keyFile] = [join(directory, 'ca.crt'), join(directory, 'ca.key')];
  if (!existsSync(certFile) || !existsSync(keyFile)) return undefined;
  return { cert: readFileSync(certFile, 'utf8'), key: readFileSync(keyFile, 'utf8') };
}

/** Makes a certificate with which a client shows who it is: the name is its CN, the group its O. */
export function issueClientPair(authority: KeyPair, name: string, group: string, now: number): Promise<KeyPair> {
  const subject = [
    { name: 'organizationName', value: group },
    { name: 'commonName', value: name },
  ];
  return sign(subject, CLIENT_DAYS, now, authority, leafOf('clientAuth'));
}

type Extension = NonNullable<NonNullable<Parameters<typeof generate>[1]>['extensions']>[number];

function leafOf(use: 'serverAuth' | 'clientAuth'): Extension[] {
  return [
    { name: 'basicConstraints', cA: false, critical: true },
    { name: 'keyUsage', digitalSignature: true, critical: true },
    { name: 'extKeyUsage', [use]: true },
  ];
}

async function sign(
  subject: Parameters<typeof generate>[0],
  days: number,
  now: number,
  ca: KeyPair | undefined,
  extensions: Extension[],
): Promise<KeyPair> {
  // Loading it takes longer than a start has to spare, and certificates are made once a year.
  const { generate: make } = await import('./selfsigned.ts');
  const result = await make(subject, {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(now - 3_600_000),
    notAfterDate: new Date(now + days * DAY_MS),
    ...(ca === undefined ? {} : { ca: { key: ca.key, cert: ca.cert } }),
    extensions,
  });
  return { cert: withNewline(result.cert), key: withNewline(result.private) };
}

function isAddress(host: string): boolean {
  return host.includes(':') || /^\d+\.\d+\.\d+\.\d+$/.test(host);
}

function withNewline(pem: string): string {
  return pem.endsWith('\n') ? pem : `${pem.replaceAll('\r\n', '\n')}\n`;
}
