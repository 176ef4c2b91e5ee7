/**
 * Reads the manifests below a folder. Names that begin with a dot are left out. A link is followed only to what lies in the
 * folder and is not read anyway: a mounted ConfigMap is made of links to a hidden folder.
 */
import { constants } from 'node:fs';
import { open, readdir, realpath, stat } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import {
  isKustomization,
  isManifestName,
  KUSTOMIZATION_PROBLEM,
  LIMITS,
  SourceError,
  type SourceFile,
  TOO_LARGE_PROBLEM,
} from './source.ts';

export interface FolderContent {
  readonly files: readonly SourceFile[];
  /** Every folder that was looked into, absolute: what is to be watched. */
  readonly folders: readonly string[];
}

/**
 * Reads it as it is now.
 * @throws SourceError when it is no folder that can be read, changes under the reader, or holds too much.
 */
export async function readFolder(folder: string): Promise<FolderContent> {
  const root = await realpath(folder).catch((cause: unknown) => {
    throw new SourceError('SourceUnreachable', `${folder} cannot be read: ${codeOf(cause)}`, { cause });
  });
  const reader = new FolderReader(root);
  await reader.walk('', root, 0);
  const files = reader.files.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  return { files, folders: reader.folders };
}

class FolderReader {
  readonly files: SourceFile[] = [];
  readonly folders: string[] = [];
  readonly #root: string;
  #bytes = 0;

  constructor(root: string) {
    this.#root = root;
  }

  /** @param path from the top. @param real where it is. */
  async walk(path: string, real: string, depth: number): Promise<void> {
    if (depth > LIMITS.depth) {
      this.#refuse(path, `deeper than ${LIMITS.depth} folders`);
      return;
    }
    const entries = await readdir(real, { withFileTypes: true }).catch((cause: unknown) => {
      // A folder below that is gone was removed meanwhile: the next look says what that means.
      if (path === '' || codeOf(cause) === 'ENOENT') throw unreadable(real, cause);
      return codeOf(cause);
    });
    if (typeof entries === 'string') {
      this.#refuse(path, `cannot be read: ${entries}`);
      return;
    }
    this.folders.push(real);
    const kustomization = entries.find(({ name }) => isKustomization(name));
    if (kustomization !== undefined) {
      this.#refuse(below(path, kustomization.name), KUSTOMIZATION_PROBLEM);
      return;
    }
    for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      const { name } = entry;
      if (name.startsWith('.')) continue;
      const [inner, place] = [below(path, name), join(real, name)];
      if (entry.isDirectory()) await this.walk(inner, place, depth + 1);
      else if (entry.isSymbolicLink()) await this.#follow(inner, place, depth);
      else if (isManifestName(name)) await this.#read(inner, place);
    }
  }

  async #follow(path: string, link: string, depth: number): Promise<void> {
    const real = await realpath(link).catch(codeOf);
    if (!real.startsWith('/')) {
      if (isManifestName(path)) this.#refuse(path, `a symbolic link that leads nowhere (${real})`);
      return;
    }
    const isFolder = (await stat(real)).isDirectory();
    if (!isFolder && !isManifestName(path)) return;
    if (real === this.#root) return;
    const inside = relative(this.#root, real).split(sep);
    if (inside[0] === '..') {
      this.#refuse(path, 'a symbolic link that leaves the folder is not followed');
      return;
    }
    const isReadAnyway = !inside.some((part) => part.startsWith('.')) && (isFolder || isManifestName(real));
    if (isReadAnyway) return;
    if (isFolder) await this.walk(path, real, depth + 1);
    else await this.#read(path, real);
  }

  async #read(path: string, real: string): Promise<void> {
    // What is no regular file must not be waited for, and nobody may put a link in its place meanwhile.
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const file = await open(real, flags).catch(codeOf);
    if (typeof file === 'string') {
      if (file === 'ENOENT') throw unreadable(real, file);
      this.#refuse(path, `cannot be read: ${file}`);
      return;
    }
    try {
      const found = await file.stat();
      const { size } = found;
      if (!found.isFile()) {
        this.#refuse(path, 'not a regular file');
        return;
      }
      const buffer = Buffer.alloc(Math.min(size, LIMITS.fileBytes) + 1);
      let length = 0;
      for (let read = -1; read !== 0 && length < buffer.length; length += read) {
        ({ bytesRead: read } = await file.read(buffer, length, buffer.length - length, null));
      }
      if (length > LIMITS.fileBytes) {
        this.#refuse(path, TOO_LARGE_PROBLEM);
        return;
      }
      // It grew while it was read.
      if (length > size) throw new SourceError('SourceUnreachable', `${real} is being written`);
      this.#take(path, buffer.subarray(0, length));
    } finally {
      await file.close();
    }
  }

  #take(path: string, content: Buffer): void {
    this.#bytes += content.length;
    if (this.#bytes > LIMITS.totalBytes) {
      throw new SourceError('SourceRefused', `the manifests are larger than ${LIMITS.totalBytes / 1024 / 1024} MiB`);
    }
    try {
      this.#add({ path, text: new TextDecoder('utf-8', { fatal: true }).decode(content) });
    } catch (thrown) {
      if (!(thrown instanceof TypeError)) throw thrown;
      this.#refuse(path, 'not UTF-8 text');
    }
  }

  #refuse(path: string, problem: string): void {
    this.#add({ path, problem });
  }

  #add(file: SourceFile): void {
    if (this.files.length >= LIMITS.files) {
      throw new SourceError('SourceRefused', `there are more than ${LIMITS.files} files of manifests`);
    }
    this.files.push(file);
  }
}

function below(path: string, name: string): string {
  return path === '' ? name : `${path}/${name}`;
}

function unreadable(path: string, cause: unknown): SourceError {
  const code = typeof cause === 'string' ? cause : codeOf(cause);
  return new SourceError('SourceUnreachable', `${path} cannot be read: ${code}`, { cause });
}

function codeOf(thrown: unknown): string {
  return (thrown as NodeJS.ErrnoException).code ?? String(thrown);
}
