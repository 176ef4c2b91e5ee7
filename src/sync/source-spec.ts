/** What `--sync` names: a folder of this machine, or a Git repository with a branch and a folder in it. */
import { isAbsolute, resolve } from 'node:path';
import { shortHash } from '../api/names.ts';

export interface FolderSpec {
  readonly type: 'folder';
  /** Absolute. */
  readonly path: string;
}

/** What Git is let speak; the one of the source alone (`GIT_ALLOW_PROTOCOL`). */
export type GitProtocol = 'https' | 'http' | 'ssh' | 'file';

export interface GitSpec {
  readonly type: 'git';
  /** As Git takes it; never with a password in it. */
  readonly url: string;
  readonly protocol: GitProtocol;
  /** Host of the URL; empty for a repository on this machine. */
  readonly host: string;
  /** A full name, e.g. `refs/heads/main`, or `HEAD` where none was said. */
  readonly ref: string;
  /** Folder in the repository, without slashes around; empty = all of it. */
  readonly path: string;
}

export type SourceSpec = FolderSpec | GitSpec;

/** A text that names no source. The message says what is wrong and never repeats what may be a secret. */
export class SourceSpecError extends Error {
  override readonly name = 'SourceSpecError';
}

const PROTOCOLS: Readonly<Record<string, GitProtocol>> = {
  'https:': 'https',
  'http:': 'http',
  'ssh:': 'ssh',
  'file:': 'file',
};

const NEITHER = 'must be the absolute path of a folder, or the https://, ssh:// or file:// URL of a Git repository';

/** `git@host:team/repo.git`. A single letter before the colon would be anything but a host. */
const SCP = /^[A-Za-z0-9][\w.-]*@([A-Za-z0-9][\w.-]+):(?!\/\/)[^\s:-][^\s:]*$/;

/**
 * Reads `DIR` or `GIT-URL[#[BRANCH][:PATH]]`. A branch may be a full reference too (`refs/tags/v1`).
 * @throws SourceSpecError that says what is wrong with it.
 */
export function parseSource(text: string): SourceSpec {
  if (/\p{Cc}/u.test(text)) throw new SourceSpecError('must not contain control characters');
  const hash = text.indexOf('#');
  const [where, fragment] = hash < 0 ? [text, undefined] : [text.slice(0, hash), text.slice(hash + 1)];
  if (where === '') throw new SourceSpecError('names no folder and no repository');
  const remote = remoteOf(where);
  if (remote !== undefined) return { type: 'git', ...remote, ...fragmentOf(fragment ?? '') };
  if (fragment !== undefined) {
    throw new SourceSpecError('a folder has no branch: write file:///PATH#BRANCH for a repository on this machine');
  }
  // A service has another working directory than the shell that made it, and "host/repository" is no folder of anybody.
  if (!isAbsolute(where)) throw new SourceSpecError(NEITHER);
  return { type: 'folder', path: resolve(where) };
}

/** The source for people: nothing in it is secret. */
export function sourceText(spec: SourceSpec): string {
  if (spec.type === 'folder') return spec.path;
  const branch = spec.ref === 'HEAD' ? '' : spec.ref.replace(/^refs\/heads\//, '');
  const path = spec.path === '' ? '' : `:${spec.path}`;
  return `${spec.url}${branch === '' && path === '' ? '' : '#'}${branch}${path}`;
}

/**
 * Tells sources apart, as a value of a label. The branch is no part of it: another branch of the same folder is a new state
 * of the same source, and what it lacks has left it.
 */
export function sourceId(spec: SourceSpec): string {
  return shortHash(spec.type === 'folder' ? `folder ${spec.path}` : `git ${spec.url} ${spec.path}`);
}

type Remote = Pick<GitSpec, 'url' | 'protocol' | 'host'>;

/** undefined for what is a path. */
function remoteOf(where: string): Remote | undefined {
  const scp = SCP.exec(where);
  if (scp !== null) return { url: where, protocol: 'ssh', host: scp[1] ?? '' };
  // `ext::sh -c …` would be a command.
  if (/^[a-z][a-z0-9+.-]*::/i.test(where)) throw new SourceSpecError('helpers of Git (NAME::) are not used');
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(where)) return undefined;
  // Where programs read URLs in two ways, one of them may be led elsewhere.
  const isPlain = /^(?:file:\/\/|[a-z]+:\/\/[^/\\\s][^\\\s]*$)/i.test(where);
  const url = isPlain ? URL.parse(where) : null;
  const protocol = PROTOCOLS[url?.protocol ?? ''];
  if (url === null || protocol === undefined) {
    throw new SourceSpecError(NEITHER);
  }
  if (url.password !== '' || (url.username !== '' && protocol !== 'ssh')) {
    throw new SourceSpecError('must not have credentials in it; name a file with them: --sync-credentials-file');
  }
  if (url.search !== '') throw new SourceSpecError('must not have a query in it');
  if (protocol === 'file' ? url.host !== '' : url.hostname === '' || url.hostname.startsWith('-')) {
    throw new SourceSpecError(
      protocol === 'file' ? 'file:// needs three slashes: file:///PATH' : 'must name a host: https://HOST/PATH',
    );
  }
  return { url: where, protocol, host: url.hostname };
}

/** `BRANCH`, `BRANCH:PATH`, `:PATH`. */
function fragmentOf(fragment: string): Pick<GitSpec, 'ref' | 'path'> {
  const colon = fragment.indexOf(':');
  const [branch, folder] = colon < 0 ? [fragment, ''] : [fragment.slice(0, colon), fragment.slice(colon + 1)];
  const parts = folder.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw new SourceSpecError(`"${folder}" leaves the repository`);
  return { ref: refOf(branch), path: parts.join('/') };
}

/** git-check-ref-format(1), and no more than what people call branches. */
function refOf(branch: string): string {
  if (branch === '') return 'HEAD';
  const isName =
    /^[A-Za-z0-9_][A-Za-z0-9_./+@=-]*$/.test(branch) &&
    !/\.\.|\/\/|\/\.|@\{|\.lock(?:\/|$)|[./]$/.test(branch) &&
    branch !== '@';
  if (!isName) throw new SourceSpecError(`"${branch}" is not the name of a branch`);
  return branch.startsWith('refs/') ? branch : `refs/heads/${branch}`;
}
