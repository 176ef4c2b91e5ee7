/**
 * What `docs/troubleshooting.md` is made of: the tables of reasons and remedies. `node scripts/api-docs.ts` writes it; a test
 * fails when it is not what this makes.
 */
import { join } from 'node:path';
import { isReason, REASONS, type Reason } from '../src/api/reasons.ts';
import { ORDINARY, REMEDY_TOPICS, type Remedy } from '../src/api/remedies/index.ts';

/** Where the page is. */
export const TROUBLESHOOTING_FILE = join(import.meta.dirname, '../docs/troubleshooting.md');

const INTRO = `# Troubleshooting

Every object says by itself how it is: in its conditions, and in Events. Both carry a *reason*, one word that means the same
everywhere, and a message with the facts of the case. This page has every reason, what is affected by it, and what to do. Made by
\`node scripts/api-docs.ts\` from \`src/api/reasons.ts\` and \`src/api/remedies\`.

## How to look
\`\`\`sh
kubectl get volumes,volumemounts,snapshots,backups,restores -A    # the columns READY and REASON
kubectl describe volume NAME                                      # conditions with their messages, and events
kubectl get volume NAME -o jsonpath='{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\\n"}{end}'
kubectl describe storagenode NODE                                 # what a node has, what it lacks and why, orphans
clawstore doctor                                                  # the same, on the node itself
clawstore explain REASON                                          # what this page says of it
\`\`\`

| what is seen | what it means |
|---|---|
| \`Ready=True\` | observed to be as the spec wants it, at \`observedGeneration\` |
| \`Reconciling=True\` | it goes on by itself; the reason says what it waits for |
| \`Stalled=True\` | it does not go on by itself: a person must change something |
| \`Ready=Unknown\` | nobody can say, mostly because the node is lost |
| \`DeletionBlocked=True\` | the deletion waits; the reason says for what |
| \`observedGeneration\` behind \`metadata.generation\` | nobody has acted on the last change yet: does the controller run, and the agent of that node? |
| no \`status\` at all | the same |

A change that should be tried at once, instead of after its back-off:
\`kubectl annotate volume NAME storage.clawbernetes.io/reconcile-at="$(date)" --overwrite\`.

The UID that some annotations want as their value: \`kubectl get volume NAME -o jsonpath='{.metadata.uid}'\`. It is wanted so that the
permission is for this object, and not for another that is made under its name later.
`;

/** Alerts of manifests/monitoring, and the reasons that mostly stand behind them. */
export const ALERTS: Readonly<Record<string, readonly Reason[]>> = {
  ClawstoreBackupTooOld: ['RunsMissed', 'RunFailed', 'BackupFailed', 'RepositoryNotReady'],
  ClawstoreScheduledRunFailed: ['RunFailed', 'BackupFailed', 'SnapshotFailed'],
  ClawstoreBackupFailed: ['BackupFailed', 'VolumesLacking', 'FilesSkipped', 'SourceEmpty'],
  ClawstoreScheduleMissed: ['RunsMissed'],
  ClawstoreScheduleNotReady: ['InvalidSpec', 'Paused'],
  ClawstoreRepositoryNotReady: ['ServerUnreachable', 'CredentialsRejected', 'WrongPassword', 'RepositoryGone'],
  ClawstoreRepositoryDamaged: ['RepositoryDamaged', 'CheckFailed'],
  ClawstoreKeyNotExported: ['KeyNotExported'],
  ClawstoreVolumeNotReady: ['NodeLost', 'ServerUnreachable', 'DataMissing', 'ProvisionFailed', 'InsufficientCapacity'],
  ClawstoreMountUnhealthy: ['MountCovered', 'MountUnresponsive', 'FilesystemFailed', 'StaleInWorkload', 'MountFailed'],
  ClawstoreVolumeNearlyFull: ['CapacityTooLarge', 'PoolLowSpace'],
  ClawstoreNodeLost: ['NodeLost', 'NodeNotReady', 'HelperUnavailable'],
  ClawstoreSyncFailing: [
    'SourceUnreachable',
    'SourceRefused',
    'SyncIncomplete',
    'SyncFailed',
    'PruneRefused',
    'Pruning',
  ],
  ClawstoreGone: [],
};

function alertRow([alert, reasons]: readonly [string, readonly Reason[]]): string {
  const links = reasons.map((reason) => `[${reason}](#${reason.toLowerCase()})`);
  return `| ${alert} | ${links.join(', ')} |`;
}

/** Returns the whole page. */
export function renderTroubleshooting(): string {
  const topics = REMEDY_TOPICS.flatMap(({ title, remedies }) => [
    `## ${title}`,
    ...Object.entries(remedies).flatMap(section),
  ]);
  return [
    INTRO,
    '## Alerts',
    'What each means: [backups.md](backups.md#schedules-and-alerts). The object that it names has the reason in its conditions; mostly',
    'it is one of these. `ClawstoreGone` has no object: nothing is scraped any more.',
    '',
    '| alert | reasons |',
    '|---|---|',
    ...Object.entries(ALERTS).map(alertRow),
    '',
    ...topics,
    '## Reasons of ordinary work',
    'Nothing is to be done about these.',
    '',
    '| reason | meaning |',
    '|---|---|',
    ...ORDINARY.map((reason) => `| \`${reason}\` | ${REASONS[reason]} |`),
    '',
  ].join('\n');
}

function section([name, { affected, action }]: readonly [string, Remedy]): readonly string[] {
  if (!isReason(name)) throw new Error(`there is a remedy for "${name}", which is no reason`);
  return [`### ${name}`, REASONS[name], '', `- **Affected:** ${affected}`, `- **What to do:** ${action}`, ''];
}
