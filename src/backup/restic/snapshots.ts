/** The snapshots of a repository: which there are, what is in them, and their tags. */
import { BackupError } from '../backup-error.ts';
import type { RepositoryAccess, SnapshotRecord, Tags, TreeEntry } from '../engine.ts';
import { compareTimes, type KnownSnapshots } from './known-snapshots.ts';
import { parseMessage, snapshotOf, treeEntryOf } from './messages.ts';
import { listNames } from './names.ts';
import { checkSnapshotId, nameableAbove, tagArguments } from './patterns.ts';
import type { ResticRunner } from './runner.ts';

/** Entries that are told of at a time. */
const BATCH = 500;
/** Bytes of names that are handed to one run: execve(2) takes 2 MiB with 8 MiB of stack. */
const MOST_NAME_BYTES = 1_000_000;
/** IDs of snapshots for one run. */
const IDS = 1_000;

export async function listSnapshots(
  runner: ResticRunner,
  access: RepositoryAccess,
  /** `key=value`; all of them must be there. */
  tags: readonly string[],
  signal: AbortSignal,
): Promise<readonly SnapshotRecord[]> {
  const filter = tags.length === 0 ? [] : [`--tag=${tags.join(',')}`];
  const said = await runner.output(access, { args: ['snapshots', '--json', ...filter] }, signal);
  const list = JSON.parse(said.toString('utf8')) as readonly Readonly<Record<string, unknown>>[] | null;
  return (list ?? []).map(snapshotOf).toSorted(compareTimes);
}

/** All of them, or those that have every one of the tags. No listing where nothing has changed since the last one. */
export async function findSnapshots(
  runner: ResticRunner,
  access: RepositoryAccess,
  tags: Tags,
  known: KnownSnapshots,
  signal: AbortSignal,
): Promise<readonly SnapshotRecord[]> {
  const wanted = tagArguments(tags);
  const names = await listNames(runner, access, signal);
  if (names === undefined || names.snapshots.length > known.most) return listSnapshots(runner, access, wanted, signal);
  const recalled = known.recall(access, names);
  const all = recalled ?? (await listSnapshots(runner, access, [], signal));
  if (recalled === undefined) known.keep(access, names, all);
  return all.filter((record) => Object.entries(tags).every(([key, value]) => record.tags[key] === value));
}

export async function listEntries(
  runner: ResticRunner,
  access: RepositoryAccess,
  snapshotId: string,
  paths: readonly string[],
  onEntries: (entries: readonly TreeEntry[]) => void | Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const wanted = paths.map(checkPath);
  const args = ['ls', '--json', '--recursive', '--', checkSnapshotId(snapshotId)];
  const named = [...new Set(wanted.map(nameableAbove))];
  checkLength(named);
  const isWanted = (path: string): boolean =>
    wanted.length === 0 || wanted.some((each) => path === each || path.startsWith(each === '/' ? each : `${each}/`));
  let found = false;
  let batch: TreeEntry[] = [];
  await runner.succeed(
    access,
    {
      args: [...args, ...(named.includes('/') ? [] : named)],
      onLine: async (line, stream) => {
        const message = stream === 'stdout' ? parseMessage(line) : undefined;
        if (message?.['struct_type'] === 'snapshot') found = true;
        const entry = message === undefined ? undefined : treeEntryOf(message);
        if (entry === undefined || !isWanted(entry.path)) return;
        batch.push(entry);
        if (batch.length < BATCH) return;
        const full = batch;
        batch = [];
        await onEntries(full);
      },
    },
    signal,
  );
  // 0.14 passes over an ID that does not exist.
  if (!found) throw new BackupError('NotFound', `there is no snapshot ${snapshotId}`);
  if (batch.length > 0) await onEntries(batch);
}

function checkPath(path: string): string {
  if (path === '/') return path;
  const parts = path.split('/').slice(1);
  if (!path.startsWith('/') || path.includes('\0') || parts.some((part) => ['', '.', '..'].includes(part))) {
    throw new BackupError('InvalidRequest', `${JSON.stringify(path)} is no absolute, normalised path`);
  }
  return path;
}

/** @throws BackupError `InvalidRequest` where the kernel would not take so many names at once. */
export function checkLength(names: readonly string[]): void {
  const bytes = names.reduce((sum, name) => sum + Buffer.byteLength(name) + 1, 0);
  if (bytes <= MOST_NAME_BYTES) return;
  throw new BackupError('InvalidRequest', `there are too many paths: ${bytes} bytes, and ${MOST_NAME_BYTES} at most`);
}

export async function forget(
  runner: ResticRunner,
  access: RepositoryAccess,
  snapshotIds: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const ids = snapshotIds.map(checkSnapshotId);
  for (let from = 0; from < ids.length; from += IDS) {
    await runner.succeed(access, { args: ['forget', '--json', '--', ...ids.slice(from, from + IDS)] }, signal);
  }
}

/**
 * `restic tag` adds before it removes, so what is to stay is left out of what is removed. A changed snapshot is a new one
 * that names the first it comes from, and the old one is gone.
 */
export async function changeTags(
  runner: ResticRunner,
  access: RepositoryAccess,
  snapshotIds: readonly string[],
  change: { readonly add: Tags; readonly remove: readonly string[] },
  known: KnownSnapshots,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const add = tagArguments(change.add);
  const ids = snapshotIds.map(checkSnapshotId);
  const before = (await findSnapshots(runner, access, {}, known, signal)).filter(({ id }) => ids.includes(id));
  const missing = ids.find((id) => !before.some((snapshot) => snapshot.id === id));
  if (missing !== undefined) throw new BackupError('NotFound', `there is no snapshot ${missing}`);
  const dropped = new Set([...change.remove, ...Object.keys(change.add)]);
  const remove = new Set(
    before.flatMap(({ tags }) => tagArguments(tags).filter((tag) => dropped.has(tag.slice(0, tag.indexOf('='))))),
  );
  for (const tag of add) remove.delete(tag);
  const flags = [...add.map((tag) => `--add=${tag}`), ...[...remove].map((tag) => `--remove=${tag}`)];
  if (ids.length === 0 || flags.length === 0) return new Map(ids.map((id) => [id, id]));
  await runner.succeed(access, { args: ['tag', ...flags, '--', ...ids] }, signal);
  const after = await findSnapshots(runner, access, {}, known, signal);
  return new Map(
    before.map(({ id, original = id, time }) => {
      const now = after.find((each) => each.id === id || (each.original === original && each.time === time));
      if (now === undefined) throw new BackupError('EngineFailed', `the snapshot ${id} is gone after its tags changed`);
      return [id, now.id];
    }),
  );
}
