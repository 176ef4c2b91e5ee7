/** Admission cases of the BackupSchedule; what it shares with the SnapshotSchedule is tried there. */
import type { AdmissionCase, AdmissionObject } from './admission-cases.ts';

let serial = 0;

function schedule(change: object, name = `case-backup-schedule-${(serial += 1)}`): AdmissionObject {
  const spec = { schedule: '0 2 * * *', template: { spec: templateSpec }, ...change };
  return { apiVersion: 'storage.clawbernetes.io/v1alpha1', kind: 'BackupSchedule', metadata: { name }, spec };
}

const templateSpec = { scope: 'Full', destination: 's3://backups/daily' };
const TEMPLATE = 'spec.template.spec';

/** Changes of the spec of the template; `undefined` leaves a field out. */
function template(change: Readonly<Record<string, unknown>>): AdmissionObject {
  const fields = Object.entries({ ...templateSpec, ...change }).filter(([, value]) => value !== undefined);
  return schedule({ template: { spec: Object.fromEntries(fields) } });
}

function refused(name: string, object: AdmissionObject, field: string, message: string): AdmissionCase {
  return { name, object, refused: { field, message } };
}

const DESTINATION = 'must be a URL of s3, file or nfs, or an absolute path';

export const BACKUP_SCHEDULE_CASES: readonly AdmissionCase[] = [
  {
    name: 'accepts the smallest schedule of backups',
    object: schedule({}),
    expect: {
      'spec.concurrencyPolicy': 'Forbid',
      'spec.failedHistoryLimit': 1,
      'spec.template.spec.deletionPolicy': undefined,
      'status.observedGeneration': -1,
    },
  },
  {
    name: 'accepts a schedule of backups with everything',
    object: schedule({
      schedule: '@daily',
      timeZone: 'Europe/Berlin',
      jitter: '10m',
      suspend: true,
      concurrencyPolicy: 'Replace',
      startingDeadlineSeconds: 600,
      retention: { last: 1, hourly: 2, daily: 3, weekly: 4, monthly: 5, yearly: 6 },
      failedHistoryLimit: 0,
      template: {
        metadata: { labels: { team: 'ml' }, annotations: { 'example.com/why': 'nightly' } },
        spec: {
          scope: 'Volumes',
          repositoryRef: { name: 'main' },
          volumeSelector: { matchLabels: { app: 'a' }, matchExpressions: [{ key: 'b', operator: 'Exists' }] },
          ttl: '720h',
          deletionPolicy: 'Retain',
          activeDeadlineSeconds: 3600,
          priority: 10,
          limits: { bandwidth: '10Mi', parallelism: 2 },
          onPartial: 'Allow',
        },
      },
    }),
  },
  ...['file:///backups/nightly', '/backups/nightly', 'nfs://files.example/export/backups'].map((destination) => ({
    name: `accepts a schedule of backups to ${destination}`,
    object: template({ destination }),
  })),
  refused(
    'refuses a schedule of backups to nowhere',
    template({ destination: undefined }),
    TEMPLATE,
    'exactly one of destination and repositoryRef must be set',
  ),
  refused(
    'refuses a schedule of backups to two places',
    template({ repositoryRef: { name: 'main' } }),
    TEMPLATE,
    'exactly one of destination and repositoryRef must be set',
  ),
  refused(
    'refuses a schedule of backups that selects volumes in two ways',
    template({ volumeRefs: [{ name: 'data' }], volumeSelector: {} }),
    TEMPLATE,
    'at most one of volumeRefs and volumeSelector may be set',
  ),
  refused(
    'refuses volumes in a schedule of backups of manifests',
    template({ scope: 'Configs', volumeRefs: [{ name: 'data' }] }),
    TEMPLATE,
    'a backup of Configs has no volumes',
  ),
  ...['ftp://files/x', 'backups', 's3://', 'file://host/x'].map((destination) =>
    refused(
      `refuses a schedule of backups to ${destination}`,
      template({ destination }),
      `${TEMPLATE}.destination`,
      DESTINATION,
    ),
  ),
  refused(
    'refuses credentials in the destination of a schedule',
    template({ destination: 's3://key:secret@backups/daily' }),
    `${TEMPLATE}.destination`,
    'must not contain credentials',
  ),
  refused(
    'refuses a way out in the destination of a schedule',
    template({ destination: 'file:///backups/../etc' }),
    `${TEMPLATE}.destination`,
    "must not contain '..'",
  ),
  refused(
    'refuses a bandwidth of nothing in a schedule',
    template({ limits: { bandwidth: '10' } }),
    `${TEMPLATE}.limits.bandwidth`,
    'must be at least 1k',
  ),
  ...['cancel', 'imported'].map((field) =>
    refused(
      `refuses ${field} in a schedule of backups`,
      template({ [field]: field === 'cancel' ? true : { backupID: 'x' } }),
      `${TEMPLATE}.${field}`,
      'unknown field',
    ),
  ),
  refused(
    'refuses the name of a schedule of backups that leaves no room for the time of a run',
    schedule({}, `s${'x'.repeat(41)}`),
    'metadata.name',
    'may not be more than 41',
  ),
];
