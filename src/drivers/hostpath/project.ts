/**
 * Which project limits the directory of a volume, and what is in the way of one. Pure; see decision record 20 for how the
 * numbers are chosen.
 */
import { createHash } from 'node:crypto';
import { isAtOrBelow, isReadOnly, type MountEntry } from '../../node/mount-entry.ts';
import type { DirectoryProject } from '../../node/quota/operations.ts';

/** What is remembered of a volume's project on its node. */
export interface ProjectRecord {
  readonly project: number;
  /** The directory that was marked. */
  readonly path: string;
}

export function isProjectRecord(value: unknown): value is ProjectRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { project, path } = value as Partial<Record<keyof ProjectRecord, unknown>>;
  return Number.isSafeInteger(project) && typeof path === 'string';
}

/** Far above what people and other programs count up from; the highest bit stays free, for programs that read a sign. */
const FIRST = 0x40000000;
const CANDIDATES = 8;

/** The numbers that the project of a volume may have, in this order: the same wherever and whenever it is asked. */
export function projectsOf(uid: string): readonly number[] {
  const digest = createHash('sha256').update(uid).digest();
  return Array.from({ length: CANDIDATES }, (_, index) => FIRST + (digest.readUInt32BE(index * 4) % FIRST));
}

/** The number to use, and whether the directory has it already; or why there can be none, as a sentence. */
export type ProjectChoice =
  | { readonly project: number; readonly isMarked: boolean }
  | { readonly project: undefined; readonly objection: string };

export interface ProjectFacts {
  readonly uid: string;
  readonly path: string;
  readonly record: ProjectRecord | undefined;
  /** Projects of other volumes of this node. */
  readonly others: ReadonlySet<number>;
  /** Of the directory and of `projectsOf(uid)`. */
  readonly seen: DirectoryProject;
  /** Numbers that this machine's administrator has given a name or a path (projid(5), projects(5)). */
  readonly named: ReadonlySet<number>;
}

export function chooseProject({ uid, path, record, others, seen, named }: ProjectFacts): ProjectChoice {
  const candidates = projectsOf(uid);
  if (seen.project !== 0) {
    // What the state directory has lost is still to be read from the directory.
    const isOurs = seen.project === record?.project || (candidates.includes(seen.project) && !others.has(seen.project));
    if (isOurs) return { project: seen.project, isMarked: seen.inherited };
    const objection = `"${path}" belongs to project ${seen.project} of its filesystem, which is not this volume's; it is left as it is.`;
    return { project: undefined, objection };
  }
  if (record !== undefined) return { project: record.project, isMarked: false };
  const isFree = (project: number): boolean => {
    const use = seen.uses.find((each) => each.project === project);
    return !others.has(project) && !named.has(project) && use?.limitBytes === 0n && use.files === 0n;
  };
  const project = candidates.find(isFree);
  if (project !== undefined) return { project, isMarked: false };
  return {
    project: undefined,
    objection: `every project number that the volume could have is in use where "${path}" is.`,
  };
}

/** Why the directory cannot be limited where it lies, as a sentence; undefined when it can. */
export function quotaObjection(mount: MountEntry | undefined): string | undefined {
  if (mount === undefined || mount.fsType !== 'xfs') {
    return `a directory of the host is limited by its filesystem alone (${mount?.fsType ?? 'unknown'}); on XFS mounted with prjquota it has a limit of its own`;
  }
  if (!mount.superOptions.includes('prjquota')) {
    return `the XFS at ${mount.target} is not mounted with prjquota, so that a directory of it has no limit of its own`;
  }
  return isReadOnly(mount) ? `the XFS at ${mount.target} is mounted read-only` : undefined;
}

/** Where directories of this machine can be limited. */
export function quotaMounts(mounts: readonly MountEntry[], except: readonly string[]): readonly string[] {
  const found = mounts.filter(
    (mount) => quotaObjection(mount) === undefined && !except.some((folder) => isAtOrBelow(mount.target, folder)),
  );
  return [...new Set(found.filter(({ root }) => root === '/').map(({ target }) => target))];
}

/** Numbers in `/etc/projid` (`NAME:ID`) or `/etc/projects` (`ID:PATH`). */
export function namedProjects(projid: string, projects: string): ReadonlySet<number> {
  const numbers = (text: string, field: number): readonly number[] =>
    text
      .split('\n')
      .filter((line) => !line.startsWith('#'))
      .map((line) => Number.parseInt(line.split(':')[field] ?? '', 10))
      .filter(Number.isSafeInteger);
  return new Set([...numbers(projid, 1), ...numbers(projects, 0)]);
}
