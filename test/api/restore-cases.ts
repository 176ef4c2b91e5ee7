/** Admission cases of restores from backups. What Restores of Snapshots share with them is tried there. */
import type { AdmissionCase, AdmissionObject } from './admission-cases.ts';

let serial = 0;

function object(kind: string, spec: object, name: string): AdmissionObject {
  return { apiVersion: 'storage.clawbernetes.io/v1alpha1', kind, metadata: { name }, spec };
}

function restore(spec: object, name = `case-backup-restore-${(serial += 1)}`): AdmissionObject {
  return object('Restore', { source: { backupRef: { name: 'b' } }, ...spec }, name);
}

const partSpec = {
  repository: { s3: { bucket: 'backups' }, encryption: { secretRef: { name: 'key' } } },
  backupID: 'b-1',
  from: { name: 'data' },
  volumeRef: { name: 'data' },
  volumeUID: 'u',
  mode: 'New',
  existingFiles: 'Overwrite',
};

function part(change: object, name = `case-volume-restore-${(serial += 1)}`): AdmissionObject {
  return object('VolumeRestore', { ...partSpec, ...change }, name);
}

function refused(name: string, object: AdmissionObject, field: string, message: string): AdmissionCase {
  return { name, object, refused: { field, message } };
}

const whole = {
  volumes: [{ from: 'data', to: 'copy', mode: 'New' }, { from: 'more' }],
  paths: ['a/b', '*', '..a'],
  existingFiles: 'Mirror',
  objects: { conflictPolicy: 'Update' },
  dryRun: true,
};

export const RESTORE_CASES: readonly AdmissionCase[] = [
  {
    name: 'accepts the smallest restore of a backup',
    object: restore({}),
    expect: { 'spec.safetySnapshot': true, 'spec.existingFiles': undefined, 'status.observedGeneration': -1 },
  },
  { name: 'accepts a restore of a backup with everything', object: restore(whole) },
  {
    name: 'accepts a restore of an ID, in a repository',
    object: restore({ source: { backupID: 'b-1', repositoryRef: { name: 'repo' } } }),
  },
  refused(
    'refuses a restore of two things',
    restore({ source: { backupRef: { name: 'b' }, snapshotRef: { name: 's' } } }),
    'spec.source',
    'exactly one of snapshotRef, backupRef and backupID must be set',
  ),
  refused(
    'refuses a repository for a backup that has one',
    restore({ source: { backupRef: { name: 'b' }, repositoryRef: { name: 'repo' } } }),
    'spec.source',
    'repositoryRef goes with backupID',
  ),
  refused(
    'refuses what is for backups in a restore of a snapshot',
    restore({ source: { snapshotRef: { name: 's' } }, paths: ['a'] }),
    'spec',
    'a Restore of a Snapshot takes the whole volume back; volumes, paths, existingFiles, objects, dryRun and cancel are for backups',
  ),
  {
    name: 'accepts a restore of a snapshot while the volume is mounted',
    object: restore({ source: { snapshotRef: { name: 's' } }, whenAttached: 'Remount' }),
  },
  refused(
    'refuses what is for snapshots in a restore of a backup',
    restore({ whenAttached: 'Remount' }),
    'spec.whenAttached',
    'whenAttached goes with source.snapshotRef',
  ),
  refused(
    'refuses a path that leads elsewhere',
    restore({ paths: ['a/../b'] }),
    'spec.paths[0]',
    "must be a relative path without empty, '.' or '..' parts",
  ),
  refused(
    'refuses a volume of a backup twice',
    restore({ volumes: [{ from: 'data' }, { from: 'data', to: 'copy' }] }),
    'spec.volumes[1]',
    'Duplicate value',
  ),
  refused(
    'refuses an unknown mode',
    restore({ volumes: [{ from: 'a', mode: 'Old' }] }),
    'spec.volumes[0].mode',
    'Unsupported',
  ),
  {
    name: 'keeps the volumes of a restore',
    before: restore(whole, 'case-backup-restore-kept'),
    object: restore({ ...whole, volumes: [{ from: 'more' }] }, 'case-backup-restore-kept'),
    refused: { field: 'spec.volumes', message: 'immutable' },
  },
  {
    name: 'lets a restore be cancelled',
    before: restore(whole, 'case-backup-restore-cancelled'),
    object: restore({ ...whole, cancel: true }, 'case-backup-restore-cancelled'),
    expect: { 'spec.cancel': true },
  },
  { name: 'accepts the smallest part of a restore', object: part({}), expect: { 'status.observedGeneration': -1 } },
  refused(
    'refuses a part of a restore from two repositories',
    part({ repository: { ...partSpec.repository, nfs: { server: 'files.example', path: '/x' } } }),
    'spec.repository',
    'exactly one of s3, hostPath and nfs must be set',
  ),
  {
    name: 'accepts a volume that starts with a backup',
    object: object(
      'Volume',
      { emptyDir: {}, dataSource: { backupRef: { name: 'b', volumeName: 'data' } } },
      'case-volume-of-backup',
    ),
  },
  refused(
    'refuses a volume that starts with a backup and a snapshot',
    object(
      'Volume',
      { emptyDir: {}, dataSource: { backupRef: { name: 'b', volumeName: 'data' }, snapshotRef: { name: 's' } } },
      'case-volume-of-two',
    ),
    'spec.dataSource',
    'exactly one of snapshotRef, volumeRef and backupRef must be set',
  ),
];
