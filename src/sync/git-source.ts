/** A branch of a Git repository, fetched without its history; of its files only manifests are ever written to disk. */
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findProgram } from '../node/programs.ts';
import { type GitCall, type GitOptions, git, type RunProgram, repositoryOf } from './git.ts';
import { readFolder } from './read-folder.ts';
import {
  isKustomization,
  isManifestName,
  LIMITS,
  type Reading,
  type Source,
  SourceError,
  type SourceFile,
  TOO_LARGE_PROBLEM,
} from './source.ts';
import { type GitSpec, sourceId, sourceText } from './source-spec.ts';

export interface GitSourceOptions {
  readonly spec: GitSpec;
  /** Private to this source: everything in it is removed at will. */
  readonly directory: string;
  readonly run: RunProgram;
  /** Lines `https://USER:TOKEN@HOST`, as git-credential-store(1) has them; read again at each fetch. */
  readonly credentialsFile: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** How long a fetch may take, in milliseconds; default 120,000. */
  readonly fetchMs?: number | undefined;
}

const FETCH_MS = 120_000;
const LOCAL_MS = 30_000;
/** Room for the list of all files of a commit. */
const LIST_BYTES = 8 * 1024 * 1024;
/** Fetches before the repository is begun anew: what was fetched before is not needed, and nobody collects it. */
const MAX_FETCHES = 500;
/** Where what was fetched is kept. */
const FETCHED = 'refs/clawstore/fetched';

/** One line of `git ls-tree`. */
interface TreeEntry {
  readonly mode: string;
  readonly size: number;
  readonly path: string;
}

export class GitSource implements Source {
  readonly text: string;
  readonly id: string;
  readonly #options: GitSourceOptions;
  #fetches = MAX_FETCHES;
  #last: Reading | undefined;

  constructor(options: GitSourceOptions) {
    this.#options = options;
    this.text = sourceText(options.spec);
    this.id = sourceId(options.spec);
  }

  /** A repository tells nobody. */
  watch(): void {}

  async read(signal: AbortSignal): Promise<Reading> {
    try {
      return await this.#read(signal);
    } catch (thrown) {
      // Locks of a git that was killed, half a fetch, a full disk: the next try begins with nothing.
      this.#fetches = MAX_FETCHES;
      if (signal.aborted || thrown instanceof SourceError) throw thrown;
      const { code, message } = thrown as NodeJS.ErrnoException;
      throw new SourceError('SourceUnreachable', `the copy of the repository cannot be kept: ${code ?? message}`, {
        cause: thrown,
      });
    }
  }

  async #read(signal: AbortSignal): Promise<Reading> {
    const { spec, directory, run, environment, credentialsFile, fetchMs = FETCH_MS } = this.#options;
    const options: GitOptions = {
      run,
      directory,
      protocol: spec.protocol,
      hasCredentials: credentialsFile !== undefined,
      environment,
      programs: { git: requireGit(), prlimit: findProgram('prlimit') },
    };
    const local: GitCall = { signal, deadlineMs: LOCAL_MS };
    if (this.#fetches >= MAX_FETCHES) {
      await rm(directory, { recursive: true, force: true });
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await git(options, ['init', '--quiet', '--bare', '--template=', '--', repositoryOf(directory)], local);
      this.#fetches = 0;
    }
    this.#fetches += 1;
    const what = `+${spec.ref}:${FETCHED}`;
    const flags = ['--depth=1', '--no-tags', '--no-recurse-submodules', '--no-write-fetch-head', '--quiet', '--force'];
    await this.#withCredentials(async () => {
      await git(options, ['fetch', ...flags, '--', spec.url, what], { signal, deadlineMs: fetchMs });
    });
    const commit = (await git(options, ['rev-parse', '--verify', '--quiet', `${FETCHED}^{commit}`], local)).trim();
    if (this.#last?.revision === commit) return this.#last;
    this.#last = { revision: commit, files: await this.#filesOf(options, commit, local) };
    return this.#last;
  }

  /** Git reads them where it looks for them, in its home directory, and only while it fetches. */
  async #withCredentials(fetch: () => Promise<void>): Promise<void> {
    const { credentialsFile, directory } = this.#options;
    if (credentialsFile === undefined) return fetch();
    const copy = join(directory, '.git-credentials');
    try {
      await writeFile(copy, await readCredentials(credentialsFile), { mode: 0o600 });
      await fetch();
    } finally {
      await rm(copy, { force: true });
    }
  }

  async #filesOf(options: GitOptions, commit: string, local: GitCall): Promise<readonly SourceFile[]> {
    const { directory } = options;
    const { path } = this.#options.spec;
    const tree = `${commit}:${path}`;
    const listed = await git(options, ['ls-tree', '-r', '-z', '-l', tree], { ...local, keepBytes: LIST_BYTES }).catch(
      (cause: unknown) => {
        if (!(cause instanceof SourceError) || local.signal.aborted) throw cause;
        const message = `the commit ${commit.slice(0, 12)} has no folder ${path === '' ? '/' : path}: ${cause.message}`;
        throw new SourceError('SourceRefused', message, { cause });
      },
    );
    if (Buffer.byteLength(listed) >= LIST_BYTES) throw new SourceError('SourceRefused', 'it has too many files');
    const { wanted, refused } = choose(entriesOf(listed));
    const workTree = join(directory, 'files');
    const index = join(directory, 'index');
    await rm(workTree, { recursive: true, force: true });
    await rm(index, { force: true });
    await mkdir(workTree, { mode: 0o700 });
    try {
      await git(options, ['read-tree', tree], { ...local, index });
      const stdin = wanted.map((name) => `${name}\0`).join('');
      await git(options, ['checkout-index', '--force', '-z', '--stdin'], { ...local, index, workTree, stdin });
      const { files } = await readFolder(workTree);
      return [...files, ...refused].toSorted((a, b) => (a.path < b.path ? -1 : 1));
    } finally {
      await rm(workTree, { recursive: true, force: true });
    }
  }
}

function requireGit(): string {
  const program = findProgram('git');
  if (program === undefined) throw new SourceError('SourceUnreachable', 'git is not installed: apt-get install git');
  return program;
}

async function readCredentials(file: string): Promise<string> {
  const refuse = (why: string, cause?: unknown): SourceError =>
    new SourceError('SourceUnreachable', `--sync-credentials-file: ${file} ${why}`, { cause });
  try {
    const { mode } = await stat(file);
    if ((mode & 0o077) !== 0) throw refuse('can be read by others: chmod 600');
    return await readFile(file, 'utf8');
  } catch (thrown) {
    if (thrown instanceof SourceError) throw thrown;
    throw refuse(`cannot be read (${(thrown as NodeJS.ErrnoException).code})`, thrown);
  }
}

/** `MODE TYPE OBJECT SIZE<TAB>PATH`, each ended by NUL. */
function entriesOf(listed: string): readonly TreeEntry[] {
  return listed
    .split('\0')
    .filter((line) => line !== '')
    .map((line) => {
      const tab = line.indexOf('\t');
      const [mode = '', , , size = ''] = line.slice(0, tab).split(/ +/);
      return { mode, size: Number(size), path: line.slice(tab + 1) };
    });
}

/** What is written out, and what cannot be read and might be a manifest. */
function choose(entries: readonly TreeEntry[]): {
  readonly wanted: readonly string[];
  readonly refused: readonly SourceFile[];
} {
  const wanted: string[] = [];
  const refused: SourceFile[] = [];
  let bytes = 0;
  for (const { mode, size, path } of entries) {
    const parts = path.split('/');
    const name = parts.at(-1) ?? '';
    if (parts.some((part) => part.startsWith('.'))) continue;
    if (mode === '160000') {
      refused.push({ path, problem: 'a submodule, which is not fetched' });
      continue;
    }
    if (!isManifestName(name) && !isKustomization(name)) continue;
    if (mode === '120000') refused.push({ path, problem: 'a symbolic link, which is not followed in a repository' });
    else if (path.includes('\uFFFD')) refused.push({ path, problem: 'its name is not UTF-8' });
    else if (size > LIMITS.fileBytes) refused.push({ path, problem: TOO_LARGE_PROBLEM });
    else {
      wanted.push(path);
      bytes += size;
    }
  }
  if (wanted.length > LIMITS.files || bytes > LIMITS.totalBytes) {
    throw new SourceError(
      'SourceRefused',
      `there are ${wanted.length} files of manifests with ${bytes} bytes; ${LIMITS.files} and ${LIMITS.totalBytes} are allowed`,
    );
  }
  return { wanted, refused };
}
