/** What is remembered of an NFS volume on the node that owns it: what was found, and made, when it was provisioned. */

export interface NfsRecord {
  /** The volume; records of earlier versions do not say it. */
  readonly volume?: { readonly namespace: string; readonly name: string };
  readonly server: string;
  readonly path: string;
  readonly subPath: string | null;
  /** The directory `subPath` did not exist and was made for this volume. */
  readonly created: boolean;
  /** It was there because the volume had been provisioned before, by another node or with records that are lost: who made it is not known. */
  readonly adopted?: boolean;
  /** Inode number of that directory, as text: to tell it from another that took its name. */
  readonly ino: string | null;
  /** What the server called the filesystem; null where the kernel does not say. */
  readonly fsid: string | null;
  /** Size of the exported filesystem, in bytes, as text. */
  readonly totalBytes: string;
}

/** Where a volume lies on a server. */
interface NfsPlace extends Pick<NfsRecord, 'server' | 'path'> {
  readonly subPath?: string | null | undefined;
}

export function isNfsRecord(value: unknown): value is NfsRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { volume, server, path, subPath, created, adopted, ino, fsid, totalBytes } = value as Partial<
    Record<keyof NfsRecord, unknown>
  >;
  return (
    (volume === undefined || isName(volume)) &&
    typeof server === 'string' &&
    typeof path === 'string' &&
    (subPath === null || typeof subPath === 'string') &&
    typeof created === 'boolean' &&
    (adopted === undefined || typeof adopted === 'boolean') &&
    (ino === null || typeof ino === 'string') &&
    (fsid === null || typeof fsid === 'string') &&
    typeof totalBytes === 'string'
  );
}

function isName(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { namespace, name } = value as Partial<Record<'namespace' | 'name', unknown>>;
  return typeof namespace === 'string' && typeof name === 'string';
}

/** One directory lies in the other, or is the same. */
export function overlaps(a: NfsPlace, b: NfsPlace): boolean {
  if (a.server !== b.server) return false;
  const [left, right] = [whole(a), whole(b)];
  return left === right || left.startsWith(`${right}/`) || right.startsWith(`${left}/`);
}

/** The export `/` is empty here: every path begins with it. */
function whole({ path, subPath }: NfsPlace): string {
  const clean = path === '/' ? '' : path;
  return subPath === null || subPath === undefined ? clean : `${clean}/${subPath}`;
}
