/** Admission cases of the Backup and the VolumeBackup. */
import type { AdmissionCase, AdmissionObject } from './admission-cases.ts';

let serial = 0;
const destination = 's3://backups/daily';
const repositoryRef = { name: 'r' };

function of(kind: 'Backup' | 'VolumeBackup', spec: object, name?: string): AdmissionObject {
  serial += 1;
  const metadata = { name: name ?? `case-${kind.toLowerCase()}-${serial}` };
  return { apiVersion: 'storage.clawbernetes.io/v1alpha1', kind, metadata, spec };
}

function backup(spec: object, name?: string): AdmissionObject {
  return of('Backup', { scope: 'Volumes', ...spec }, name);
}

const part = {
  backupRef: { name: 'b' },
  backupID: 'b-01234567',
  clusterID: 'cluster',
  scope: 'Volumes',
  repository: { s3: { bucket: 'backups' }, encryption: { secretRef: { name: 'key' } } },
  volumeRef: { name: 'data' },
  volumeUID: 'uid',
  onPartial: 'Fail',
  priority: 0,
  deadline: '2026-01-01T00:00:00Z',
};

function accepted(name: string, object: AdmissionObject): AdmissionCase {
  return { name, object };
}

function refused(name: string, object: AdmissionObject, field: string, message: string): AdmissionCase {
  return { name, object, refused: { field, message } };
}

/** An update that is refused: a Backup is of one moment, one place and one choice. */
function fixed(field: string, before: object, after: object): AdmissionCase {
  serial += 1;
  const name = `case-backup-fixed-${serial}`;
  return {
    name: `refuses another ${field} of a Backup`,
    before: backup(before, name),
    object: backup(after, name),
    refused: { field: `spec.${field}`, message: 'field is immutable' },
  };
}

const DESTINATION = 'must be a URL of s3, file or nfs, or an absolute path';
const ONE_PLACE = 'exactly one of destination and repositoryRef must be set';
const IMPORTED = 'an imported backup names its repository, is retained and has no ttl';

export const BACKUP_CASES: readonly AdmissionCase[] = [
  {
    name: 'accepts the smallest backup, which is of everything',
    object: of('Backup', { destination: '/srv/backups' }),
    expect: { 'spec.scope': 'Full', 'spec.onPartial': undefined, 'status.observedGeneration': -1 },
  },
  accepted(
    'accepts a backup with everything',
    backup({
      destination,
      volumeRefs: [{ name: 'a' }, { name: 'b' }],
      ttl: '720h',
      deletionPolicy: 'Delete',
      cancel: false,
      activeDeadlineSeconds: 3600,
      priority: -5,
      limits: { bandwidth: '10Mi', parallelism: 2 },
      onPartial: 'Allow',
    }),
  ),
  accepted(
    'accepts a backup of labelled volumes',
    backup({ repositoryRef, volumeSelector: { matchLabels: { a: 'b' } } }),
  ),
  accepted(
    'accepts a backup that was found',
    backup({ repositoryRef, imported: { backupID: 'b-1' }, deletionPolicy: 'Retain' }),
  ),
  refused('refuses a backup to nowhere', backup({}), 'spec', ONE_PLACE),
  refused('refuses a backup to two places', backup({ destination, repositoryRef }), 'spec', ONE_PLACE),
  refused('refuses a relative destination', backup({ destination: 'srv/backups' }), 'spec.destination', DESTINATION),
  refused(
    'refuses a destination of another kind',
    backup({ destination: 'ftp://host/x' }),
    'spec.destination',
    DESTINATION,
  ),
  refused(
    'refuses a destination with credentials',
    backup({ destination: 's3://key:secret@bucket' }),
    'spec.destination',
    'must not contain credentials',
  ),
  refused(
    'refuses a destination that leads up',
    backup({ destination: '/srv/../etc' }),
    'spec.destination',
    "must not contain '..'",
  ),
  refused(
    'refuses a backup of names and of labels',
    backup({ repositoryRef, volumeRefs: [{ name: 'a' }], volumeSelector: {} }),
    'spec',
    'at most one of volumeRefs and volumeSelector may be set',
  ),
  refused(
    'refuses volumes in a backup of Configs',
    backup({ scope: 'Configs', repositoryRef, volumeRefs: [{ name: 'a' }] }),
    'spec',
    'a backup of Configs has no volumes',
  ),
  refused(
    'refuses a backup that was found nowhere',
    backup({ destination, imported: { backupID: 'b-1' } }),
    'spec',
    IMPORTED,
  ),
  refused(
    'refuses to delete what was found',
    backup({ repositoryRef, imported: { backupID: 'b-1' }, deletionPolicy: 'Delete' }),
    'spec',
    IMPORTED,
  ),
  refused(
    'refuses a ttl of a Backup of nothing in many digits',
    backup({ destination, ttl: '0000000000s' }),
    'spec.ttl',
    'should match',
  ),
  refused(
    'refuses a ttl of seconds',
    backup({ destination, ttl: '30s' }),
    'spec.ttl',
    'must be between 1m and 876000h',
  ),
  refused(
    'refuses a bandwidth of nothing',
    backup({ destination, limits: { bandwidth: '10' } }),
    'spec.limits.bandwidth',
    'must be at least 1k',
  ),
  refused(
    'refuses a backup whose name leaves no room for its ID',
    backup({ destination }, 'b'.repeat(55)),
    'metadata.name',
    'may not be more than 54',
  ),
  fixed('destination', { destination }, { destination: 's3://backups/weekly' }),
  fixed('repositoryRef', { repositoryRef }, { repositoryRef: { name: 'other' } }),
  fixed('volumeRefs', { destination, volumeRefs: [{ name: 'a' }] }, { destination, volumeRefs: [{ name: 'b' }] }),
  fixed('onPartial', { destination, onPartial: 'Fail' }, { destination, onPartial: 'Allow' }),
  fixed('scope', { destination, scope: 'Full' }, { destination, scope: 'Configs' }),
  accepted('accepts a part of a backup', of('VolumeBackup', part)),
  refused(
    'refuses a part of a backup whose repository is nowhere',
    of('VolumeBackup', { ...part, repository: { encryption: part.repository.encryption } }),
    'spec.repository',
    'exactly one of s3, hostPath and nfs must be set',
  ),
];
