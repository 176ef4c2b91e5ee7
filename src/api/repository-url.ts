/**
 * Repositories as URLs: what a person types as the destination of a backup, and what a status shows. A URL of ours has no
 * credentials; with the key of the repository it is all that a recovery needs.
 *
 *   s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION     file:///PATH     nfs://SERVER/PATH
 */
import type { RepositorySource } from './backup-repository.ts';
import { cleanPath, pathProblem } from './paths.ts';
import type { NfsSource, S3Source } from './volume.ts';

export type Destination =
  | { readonly ok: true; readonly source: RepositorySource }
  /** What is wrong, to follow the name of the field. It quotes nothing: a password may be in the text. */
  | { readonly ok: false; readonly problem: string };

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const ENDPOINT = /^https?:\/\/(?:[A-Za-z0-9](?:[-A-Za-z0-9.]*[A-Za-z0-9])?|\[[0-9a-f:]+\])(?::[0-9]{1,5})?$/;
const REGION = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;
const SERVER = /^(?:[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?|\[[0-9a-f:.]+\])$/;
const FORMS = 'must be a URL of s3, file or nfs, or an absolute path';
const NO_CREDENTIALS = 'must not contain credentials; the repository names a Secret for them';

/** Reads a destination. What does not have one of the four forms, or has credentials, has a problem. */
export function parseDestination(text: string): Destination {
  if (text.startsWith('/')) return directory(text);
  const [, scheme, rest = ''] = /^([a-z0-9]+):\/\/(.*)$/s.exec(text) ?? [];
  if (scheme === undefined) return problem(FORMS);
  const [, authority = '', path = '', query] = /^([^/?#]*)([^?#]*)(?:\?([^#]*))?$/s.exec(rest) ?? [];
  if (authority.includes('@') || hasCredentials(query)) return problem(NO_CREDENTIALS);
  if (rest.includes('#')) return problem('must not have a part after #');
  if (query !== undefined && scheme !== 's3') return problem('must not have a part after ?');
  const decoded = decode(path);
  if (decoded === undefined) return problem('has a % that two hexadecimal digits do not follow');
  switch (scheme) {
    case 's3':
      return bucket(authority, decoded, query);
    case 'file':
      return authority === '' ? directory(decoded) : problem('must have three slashes: file:///PATH');
    case 'nfs':
      return nfsExport(authority, decoded);
    default:
      return problem(FORMS);
  }
}

/** The repository of one namespace below a destination, so that using one does not open other people's backups. */
export function repositoryBelow(source: RepositorySource, namespace: string): RepositorySource {
  const { s3, hostPath, nfs } = source;
  const below = (path: string | undefined): string => (path === undefined ? namespace : `${path}/${namespace}`);
  if (s3 !== undefined) return { s3: { ...s3, prefix: below(s3.prefix) } };
  if (nfs !== undefined) return { nfs: { ...nfs, subPath: below(nfs.subPath) } };
  return hostPath === undefined ? {} : { hostPath: { path: cleanPath(`${hostPath.path}/${namespace}`) } };
}

/** The URL of a repository. Two that are written differently and are the same place have the same one. */
export function repositoryURL({ s3, hostPath, nfs }: RepositorySource): string {
  if (s3 !== undefined) return `s3://${s3.bucket}${encode(joined('', s3.prefix))}${queryOf(s3)}`;
  if (nfs !== undefined) return `nfs://${serverOf(nfs)}${encode(joined(nfs.path, nfs.subPath))}`;
  return hostPath === undefined ? '' : `file://${encode(cleanPath(hostPath.path))}`;
}

function bucket(name: string, path: string, query: string | undefined): Destination {
  if (!BUCKET.test(name)) return problem('must name a bucket after s3://');
  const prefix = clean(path);
  if (prefix === undefined) return problem("must not contain '.' or '..' parts");
  if (hasControl(prefix)) return problem('must not contain control characters');
  const { endpoint, region, forcePathStyle, ...others } = Object.fromEntries(new URLSearchParams(query ?? ''));
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return problem('may have endpoint, region and forcePathStyle after the ?, and no more');
  if (endpoint !== undefined && !ENDPOINT.test(endpoint))
    return problem('has an endpoint that is not http(s)://HOST:PORT');
  if (region !== undefined && !REGION.test(region)) return problem('has a region that is none');
  if (forcePathStyle !== undefined && forcePathStyle !== 'true' && forcePathStyle !== 'false') {
    return problem('has a forcePathStyle that is neither true nor false');
  }
  return {
    ok: true,
    source: {
      s3: {
        bucket: name,
        ...(prefix === '' ? {} : { prefix }),
        ...(endpoint === undefined ? {} : { endpoint }),
        ...(region === undefined ? {} : { region }),
        ...(forcePathStyle === undefined ? {} : { forcePathStyle: forcePathStyle === 'true' }),
      },
    },
  };
}

function directory(path: string): Destination {
  const wrong = pathProblem(path);
  if (wrong !== undefined) return problem(wrong);
  const cleaned = cleanPath(path);
  return cleaned === '/'
    ? problem('must not be the root of the host')
    : { ok: true, source: { hostPath: { path: cleaned } } };
}

function nfsExport(authority: string, path: string): Destination {
  if (!SERVER.test(authority)) return problem('must name a server after nfs://, without a port');
  const cleaned = clean(path);
  if (cleaned === undefined) return problem("must not contain '.' or '..' parts");
  if (path === '') return problem('must name an exported directory: nfs://SERVER/PATH');
  if (hasControl(cleaned)) return problem('must not contain control characters');
  return { ok: true, source: { nfs: { server: authority.replace(/^\[|\]$/g, ''), path: `/${cleaned}` } } };
}

function problem(text: string): Destination {
  return { ok: false, problem: text };
}

/** Without slashes at the ends and empty parts; undefined when a part leads elsewhere. */
function clean(path: string): string | undefined {
  const parts = path.split('/').filter((part) => part !== '');
  return parts.some((part) => part === '.' || part === '..') ? undefined : parts.join('/');
}

function hasControl(text: string): boolean {
  return Array.from(text).some((character) => character < ' ' || character === '\u007f');
}

/** Names that other tools give to credentials in a URL. */
function hasCredentials(query: string | undefined): boolean {
  return /(?:^|&)[^=&]*(?:secret|token|password|access[-_]?key)[^=&]*=/i.test(query ?? '') || /@/.test(query ?? '');
}

function decode(path: string): string | undefined {
  try {
    return decodeURIComponent(path);
  } catch {
    return undefined;
  }
}

/** What would end the path early, or mean another character, is escaped; everything else stays readable. */
function encode(path: string): string {
  return path.replace(/[%?#\s]/g, (character) => encodeURIComponent(character));
}

function joined(path: string, below: string | undefined): string {
  const base = path === '/' ? '' : path;
  return below === undefined ? path : `${base}/${below}`;
}

function serverOf({ server }: NfsSource): string {
  return server.includes(':') ? `[${server}]` : server;
}

/** What a bucket's name alone does not say. */
function queryOf({ endpoint, region, forcePathStyle }: S3Source): string {
  const usual = endpoint !== undefined;
  const parts = [
    ...(endpoint === undefined ? [] : [`endpoint=${endpoint}`]),
    ...(region === undefined || region === 'us-east-1' ? [] : [`region=${region}`]),
    ...(forcePathStyle === undefined || forcePathStyle === usual ? [] : [`forcePathStyle=${forcePathStyle}`]),
  ];
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}
