/**
 * What to do about each reason: shared by docs/troubleshooting.md and by whatever explains an object to people. A reason
 * that is in no table does not compile.
 */
import type { Reason } from '../reasons.ts';
import { BACKUPS } from './backups.ts';
import { MOUNTS } from './mounts.ts';
import { NODES } from './nodes.ts';
import type { ORDINARY } from './ordinary.ts';
import { PLACEMENT } from './placement.ts';
import { REFUSALS } from './refusals.ts';
import type { Remedies, Remedy } from './remedy.ts';
import { REPOSITORIES } from './repositories.ts';
import { SERVERS } from './servers.ts';
import { SNAPSHOTS } from './snapshots.ts';
import { SPACE } from './space.ts';
import { SYNC } from './sync.ts';

export { ORDINARY } from './ordinary.ts';
export type { Remedy } from './remedy.ts';

/** Reasons that ask for a look, by what they are about, in the order of a document. */
export const REMEDY_TOPICS: readonly { readonly title: string; readonly remedies: Remedies }[] = [
  { title: 'Waiting, placement and use', remedies: PLACEMENT },
  { title: 'Refused until somebody changes something', remedies: REFUSALS },
  { title: 'Room', remedies: SPACE },
  { title: 'Mounts and storage on a node', remedies: MOUNTS },
  { title: 'Servers', remedies: SERVERS },
  { title: 'Nodes', remedies: NODES },
  { title: 'Snapshots, copies and schedules', remedies: SNAPSHOTS },
  { title: 'Repositories', remedies: REPOSITORIES },
  { title: 'Backups and restores', remedies: BACKUPS },
  { title: '`clawstore up --sync`', remedies: SYNC },
];

const ALL = {
  ...PLACEMENT,
  ...REFUSALS,
  ...SPACE,
  ...MOUNTS,
  ...SERVERS,
  ...NODES,
  ...SNAPSHOTS,
  ...REPOSITORIES,
  ...BACKUPS,
  ...SYNC,
} satisfies Readonly<Record<Exclude<Reason, (typeof ORDINARY)[number]>, Remedy>>;

/** What to do about a reason; undefined for one of progress or success, where nothing is to be done. */
export function remedyFor(reason: Reason): Remedy | undefined {
  return Object.hasOwn(ALL, reason) ? ALL[reason as keyof typeof ALL] : undefined;
}
