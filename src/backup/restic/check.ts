/** Looks for damage: what restic says of it, and which snapshots and files it costs. */
import { BackupError } from '../backup-error.ts';
import type { CheckResult, DamagedFile, RepositoryAccess } from '../engine.ts';
import { MOST_ITEM_ERRORS } from '../engine.ts';
import { failureOf } from './failures.ts';
import { parseMessage } from './messages.ts';
import type { ResticRunner } from './runner.ts';

/** Said around the errors: advice, and tries that are not the last. */
const NOISE =
  /retrying after|^Load\(.*\) failed|repository contains errors|restic repair |troubleshooting guide|open an issue|^using temporary cache|^create exclusive lock|^repo already locked/;
const HINT =
  /contained in several indexes|suggest|`restic (?:prune|rebuild-index|repair index)|orphaned|not referenced/;
const PACK = /\bpack(?:s|file)? ([0-9a-f]{64})|want ([0-9a-f]{64})|<data\/([0-9a-f]{64})>/gi;
const OF_SNAPSHOT = /belongs to snapshot ([0-9a-f]{64})/;
/** Packs whose snapshots are looked for in one run. */
const MOST_PACKS = 1_000;

export async function check(
  runner: ResticRunner,
  access: RepositoryAccess,
  { readDataPercent }: { readonly readDataPercent: number },
  onProgress: (line: string) => void,
  signal: AbortSignal,
): Promise<CheckResult> {
  const errors = new List();
  const hints = new List();
  const packs = new Set<string>();
  const take = (text: string, isComplaint: boolean): void => {
    const words = text.trim();
    if (words === '' || NOISE.test(words)) return;
    if (HINT.test(words)) return hints.add(words);
    if (!isComplaint) return onProgress(words);
    errors.add(words);
    for (const [, ...ids] of words.matchAll(PACK)) packs.add(ids.find((id) => id !== undefined) ?? '');
  };
  const { status, words } = await runner.run(
    access,
    {
      // Not --json, with which it does not tell how far it is.
      args: ['check', ...readData(readDataPercent)],
      onLine: (line, stream) => take(line, stream === 'stderr'),
    },
    signal,
  );
  const isDamaged = errors.count > 0 || packs.size > 0;
  if (status !== 0 && !(isDamaged && /repository contains errors/.test(words))) throw failureOf(status, words);
  const damage = await damageOf(runner, access, [...packs], signal);
  return {
    ok: status === 0 && !isDamaged,
    errors: { count: errors.count, examples: errors.examples },
    damagedPacks: [...packs],
    ...damage,
    hints: hints.examples,
  };
}

function readData(percent: number): readonly string[] {
  if (!(percent >= 0 && percent <= 100)) {
    throw new BackupError('InvalidRequest', 'readDataPercent must be between 0 and 100');
  }
  if (percent === 0) return [];
  return [percent === 100 ? '--read-data' : `--read-data-subset=${percent}%`];
}

/** Who uses the packs. Where trees themselves are damaged this may be less than all, and it may not be known at all. */
async function damageOf(
  runner: ResticRunner,
  access: RepositoryAccess,
  packs: readonly string[],
  signal: AbortSignal,
): Promise<Pick<CheckResult, 'damagedSnapshots' | 'damagedFiles'>> {
  const snapshots = new Set<string>();
  const files = new Map<string, DamagedFile>();
  if (packs.length > 0) {
    const found = new FoundObjects((snapshotId, path) => {
      snapshots.add(snapshotId);
      if (path !== undefined && files.size < MOST_ITEM_ERRORS) files.set(`${snapshotId} ${path}`, { snapshotId, path });
    });
    const args = ['find', '--json', '--pack', ...packs.slice(0, MOST_PACKS)];
    await runner.run(
      access,
      {
        args,
        onBytes: (chunk) => found.push(chunk),
        onLine: (line) => {
          const id = OF_SNAPSHOT.exec(line)?.[1];
          if (id !== undefined) snapshots.add(id);
        },
      },
      signal,
    );
  }
  return { damagedSnapshots: [...snapshots], damagedFiles: [...files.values()] };
}

/**
 * The objects that `find` lists, one JSON array in one line that may be long, with complaints in the middle of it: each
 * object is read as soon as it is there.
 */
class FoundObjects {
  readonly #take: (snapshotId: string, path: string | undefined) => void;
  #text = '';

  constructor(take: (snapshotId: string, path: string | undefined) => void) {
    this.#take = take;
  }

  push(chunk: Uint8Array): void {
    this.#text += Buffer.from(chunk).toString('latin1');
    const end = this.#text.lastIndexOf('}');
    for (const [object] of this.#text.slice(0, end + 1).matchAll(/\{"object_type":.*?"\}/g)) {
      const found = parseMessage(Buffer.from(object, 'latin1').toString('utf8'));
      if (found !== undefined) {
        this.#take(String(found['snapshot']), found['object_type'] === 'blob' ? String(found['path']) : undefined);
      }
    }
    for (const [, id = ''] of this.#text.slice(0, end + 1).matchAll(new RegExp(OF_SNAPSHOT, 'g'))) {
      this.#take(id, undefined);
    }
    this.#text = this.#text.slice(end + 1);
  }
}

/** The first few texts, and how many there were. */
class List {
  readonly examples: string[] = [];
  count = 0;

  add(text: string): void {
    this.count += 1;
    if (this.examples.length < MOST_ITEM_ERRORS) this.examples.push(text);
  }
}
