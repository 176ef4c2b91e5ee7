/**
 * Which of the volumes that wait may be read now: so many at once on a node, into a repository, and of one Backup. Who has
 * the higher priority goes first, then who waits longer. Pure.
 */
import type { VolumeBackup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';

/** One part of any Backup, with what decides when it may begin. */
export interface Contender {
  readonly part: VolumeBackup;
  /** Node of the volume. */
  readonly nodeName: string;
  /** `NAMESPACE/NAME` of the repository. */
  readonly repository: string;
  /** UID of the Backup. */
  readonly backup: string;
  /** Of this Backup at once; undefined: as many as there may be. */
  readonly parallelism: number | undefined;
}

export interface Room {
  readonly perNode: number;
  readonly perRepository: number;
}

/** Each run of the engine takes processors and memory of its node, and a connection to the repository. */
export const ROOM: Room = { perNode: 2, perRepository: 8 };

/** The parts that may begin, out of all that have not ended. */
export function admit(contenders: readonly Contender[], room: Room = ROOM): readonly Contender[] {
  const counts = new Count();
  const waiting: Contender[] = [];
  for (const contender of contenders) {
    if (hasEnded(contender.part)) continue;
    if (contender.part.status?.nodeName === undefined) waiting.push(contender);
    else counts.add(contender);
  }
  waiting.sort(byTurn);
  const admitted: Contender[] = [];
  for (const contender of waiting) {
    if (!counts.hasRoom(contender, room)) continue;
    counts.add(contender);
    admitted.push(contender);
  }
  return admitted;
}

class Count {
  readonly #counts = new Map<string, number>();

  add(contender: Contender): void {
    for (const key of keysOf(contender)) this.#counts.set(key, this.#of(key) + 1);
  }

  hasRoom(contender: Contender, { perNode, perRepository }: Room): boolean {
    const [node, repository, backup] = keysOf(contender);
    return (
      this.#of(node) < perNode &&
      this.#of(repository) < perRepository &&
      this.#of(backup) < (contender.parallelism ?? Number.POSITIVE_INFINITY)
    );
  }

  #of(key: string): number {
    return this.#counts.get(key) ?? 0;
  }
}

function keysOf({ nodeName, repository, backup }: Contender): readonly [string, string, string] {
  return [`node ${nodeName}`, `repository ${repository}`, `backup ${backup}`];
}

function byTurn({ part: a }: Contender, { part: b }: Contender): number {
  if (a.spec.priority !== b.spec.priority) return b.spec.priority - a.spec.priority;
  const [left, right] = [a, b].map(
    ({ metadata }) => `${metadata.creationTimestamp} ${metadata.namespace} ${metadata.name}`,
  );
  return (left ?? '') < (right ?? '') ? -1 : 1;
}
