/**
 * Who holds a lock in a repository. A lock says the name of a machine and a process ID, which prove nothing on any other
 * machine; ours say the installation and its boot instead, so that the agent of that installation can prove that the holder
 * is gone: it was an earlier boot, or the process has ended. Nobody else can, however old a lock is.
 */
import { readFileSync } from 'node:fs';
import { shortHash } from '../../api/names.ts';
import type { LockRecord } from '../../backup/engine.ts';

const PREFIX = 'clawstore-';
/** Longest name of a node in it: the whole may have 55 bytes. */
const NODE_LENGTH = 20;

/** This agent, on this boot. */
export interface Self {
  /** Of the installation, over restarts. */
  readonly identity: string;
  readonly nodeName: string;
  readonly bootID: string;
}

/** `clawstore-NODE-INSTALLATION-BOOT`, the last two hashed. */
export function lockHolder({ identity, nodeName, bootID }: Self): string {
  return `${PREFIX}${nodeName.slice(0, NODE_LENGTH)}-${shortHash(identity)}-${shortHash(bootID)}`;
}

export type Verdict =
  /** It is ours, and nobody holds it any more. */
  | 'gone'
  /** It is held, or may be. */
  | 'held'
  /** Not renewed for so long that its holder is likely gone, which only others can prove. */
  | 'stale';

/** A live holder renews its lock every five minutes. */
const STALE_MS = 30 * 60_000;

/** Who judges. Times are milliseconds since the epoch. */
export interface Judge {
  /** {@link lockHolder} of this agent. */
  readonly self: string;
  readonly now: number;
  /** When this boot began, by the same clock. */
  readonly bootedAt: number;
  /** Whether a process of this machine is an engine. */
  readonly isEngine: (pid: number) => boolean;
}

/** Judges one lock. Pure but for `isEngine`. */
export function judgeLock(
  { holder, pid, time }: Pick<LockRecord, 'holder' | 'pid' | 'time'>,
  { self, now, bootedAt, isEngine }: Judge,
): Verdict {
  const [ours, theirs] = [parts(self), parts(holder)];
  const renewed = Date.parse(time);
  // One that cannot be read, as a kill may leave it, has no time.
  const byAge = now - renewed <= STALE_MS ? 'held' : 'stale';
  if (ours === undefined || theirs === undefined || ours.installation !== theirs.installation) return byAge;
  if (ours.boot === theirs.boot) return isEngine(pid) ? 'held' : 'gone';
  // Another boot has renewed it since this one began: a copy of this machine's disk runs somewhere, or the clock was wrong.
  if (renewed > bootedAt) {
    if (renewed > now + STALE_MS) return 'stale';
    if (byAge === 'held') return 'held';
  }
  return 'gone';
}

/** Whether the process runs and is the engine: its ID may be another's by now. */
export function isEngineProcess(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('restic');
  } catch {
    return false;
  }
}

function parts(holder: string): { readonly installation: string; readonly boot: string } | undefined {
  const [, installation, boot] = /^clawstore-.*-([0-9a-v]{10})-([0-9a-v]{10})$/.exec(holder) ?? [];
  return installation === undefined || boot === undefined ? undefined : { installation, boot };
}
