/**
 * What a Restore is to do with each volume of a backup: decided once, from the document of the backup and what there is,
 * before anything is changed. Everything that speaks against it is said at once. Pure.
 */
import { isTrue } from '../../api/conditions.ts';
import { isDeleting } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import type { PlannedVolume, Restore, RestoredVolume } from '../../api/restore.ts';
import type { Volume, VolumeSpec } from '../../api/volume.ts';
import { volumeTypeOf } from '../../api/volume.ts';
import type { VolumeMount } from '../../api/volume-mount.ts';
import type { BackupDocument, VolumeEntry } from '../../backup/catalogue.ts';
import { sameValue } from '../../kube/field-diff.ts';

export interface PlanFacts {
  readonly restore: Restore;
  readonly document: BackupDocument;
  /** All of the namespace. */
  readonly volumes: readonly Volume[];
  readonly mountsOf: (volume: Volume) => readonly VolumeMount[];
  /** What else goes back, or is written into, by the UID of its volume. */
  readonly rivalOf: (volumeUID: string) => string | undefined;
  /** The only node that can read the repository; undefined: any can. */
  readonly onlyNode: string | undefined;
}

export interface Problem {
  readonly reason: Reason;
  readonly message: string;
}

export type Plan =
  | { readonly ok: true; readonly volumes: readonly PlannedVolume[] }
  | { readonly ok: false; readonly problem: Problem };

/** Names in a message at most. */
const MOST_NAMES = 5;

export function planOf(facts: PlanFacts): Plan {
  const problems: Problem[] = [];
  const planned: PlannedVolume[] = [];
  for (const wanted of wantedOf(facts)) {
    const entry = facts.document.volumes.find(({ name }) => name === wanted.from);
    if (entry === undefined) {
      problems.push(notInBackup(wanted.from, facts.document));
      continue;
    }
    const to = wanted.to ?? wanted.from;
    const there = facts.volumes.find(({ metadata }) => metadata.name === to);
    const mode = wanted.mode ?? (isAll(facts.restore) && there !== undefined ? 'InPlace' : 'New');
    const problem = mode === 'New' ? newProblem(entry, to, there, facts) : placeProblem(to, there, facts);
    if (problem !== undefined) problems.push(problem);
    const { snapshotID, files, bytes } = entry;
    const uid = mode === 'InPlace' ? there?.metadata.uid : undefined;
    planned.push({
      from: entry.name,
      to,
      mode,
      snapshotID,
      files,
      bytes,
      ...(uid === undefined ? {} : { volumeUID: uid }),
    });
  }
  const twice = planned.find(({ to }, index) => planned.findIndex((other) => other.to === to) < index);
  if (twice !== undefined) {
    problems.push({ reason: 'InvalidSpec', message: `Two volumes of the backup would go to Volume "${twice.to}".` });
  }
  const [first] = problems;
  if (first === undefined) return { ok: true, volumes: planned };
  const message = [...new Set(problems.map((problem) => problem.message))].slice(0, 2 * MOST_NAMES).join(' ');
  return { ok: false, problem: { reason: first.reason, message: `${message} Nothing was changed.` } };
}

/** What a volume is made with: as it was, where it can be. */
export function specOfNew(
  entry: VolumeEntry,
  isKnownNode: (name: string) => boolean,
  onlyNode: string | undefined,
): VolumeSpec {
  // Its content comes from the backup, and its node may be gone.
  const { dataSource: _, nodeName, ...spec } = entry.document.spec;
  const capacity = spec.capacity ?? (spec.emptyDir === undefined ? undefined : entry.document.capacity);
  const node = onlyNode ?? (nodeName !== undefined && isKnownNode(nodeName) ? nodeName : undefined);
  return {
    ...spec,
    ...(capacity === undefined ? {} : { capacity }),
    ...(node === undefined ? {} : { nodeName: node }),
  };
}

/** All of the backup is meant: existing volumes too. */
export function isAll({ spec }: Restore): boolean {
  return (spec.volumes ?? []).length === 0;
}

function wantedOf({ restore, document }: PlanFacts): readonly RestoredVolume[] {
  return isAll(restore) ? document.volumes.map(({ name }) => ({ from: name })) : (restore.spec.volumes ?? []);
}

function notInBackup(name: string, { volumes }: BackupDocument): Problem {
  const names = volumes.map((volume) => volume.name);
  const has = names.length === 0 ? 'no volumes' : list(names);
  return { reason: 'NothingToRestore', message: `The backup has no volume "${name}"; it has ${has}.` };
}

function newProblem(entry: VolumeEntry, to: string, there: Volume | undefined, facts: PlanFacts): Problem | undefined {
  if (there !== undefined) {
    const message = `Volume "${to}" exists: give another name (volumes[].to), restore into it (mode InPlace), or delete it first.`;
    return { reason: 'VolumeExists', message };
  }
  const { spec } = entry.document;
  const type = volumeTypeOf(spec);
  // Two volumes of one directory, export or bucket: the restore would write under the other's hands.
  const same =
    type === undefined || type === 'emptyDir'
      ? undefined
      : facts.volumes.find((volume) => sameValue(volume.spec[type], spec[type]));
  if (same !== undefined) {
    const message = `Volume "${to}" would have the same ${type} as Volume "${same.metadata.name}", which exists; restore into that one (mode InPlace).`;
    return { reason: 'VolumeExists', message };
  }
  return undefined;
}

function placeProblem(to: string, there: Volume | undefined, facts: PlanFacts): Problem | undefined {
  if (there === undefined) {
    return { reason: 'VolumeNotFound', message: `Volume "${to}" does not exist; use mode New to make it.` };
  }
  if (isDeleting(there)) return { reason: 'VolumeDeleting', message: `Volume "${to}" is being deleted.` };
  const users = usersOf(there, facts);
  if (users.length > 0) {
    const message = `Volume "${to}" is in use by ${list(users)}. Unmount it, then make a new Restore.`;
    return { reason: 'VolumeInUse', message };
  }
  if (!isTrue(there.status?.conditions, 'Provisioned')) {
    return { reason: 'VolumeNotReady', message: `The storage of volume "${to}" is not there.` };
  }
  if (facts.onlyNode !== undefined && facts.onlyNode !== there.status?.nodeName) {
    const message = `Volume "${to}" is on node "${there.status?.nodeName}", and the repository is a directory of node "${facts.onlyNode}".`;
    return { reason: 'NodeMismatch', message };
  }
  return undefined;
}

/** VolumeMounts, grants whose mounts are gone from the API and may still be there, and other Restores. */
function usersOf(volume: Volume, { mountsOf, rivalOf }: PlanFacts): readonly string[] {
  const mounts = mountsOf(volume);
  const grants = (volume.status?.attachments ?? []).filter(
    ({ mountUID }) => !mounts.some(({ metadata }) => metadata.uid === mountUID),
  );
  const rival = rivalOf(volume.metadata.uid ?? '');
  return [
    ...mounts.map(({ metadata }) => `VolumeMount "${metadata.name}"`),
    ...grants.map(({ workloadId, nodeName }) => `workload "${workloadId}" on node "${nodeName}"`),
    ...(rival === undefined ? [] : [`Restore "${rival}"`]),
  ];
}

function list(names: readonly string[]): string {
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : '';
  return names.slice(0, MOST_NAMES).join(', ') + more;
}
