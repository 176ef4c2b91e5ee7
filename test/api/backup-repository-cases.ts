/** Admission cases of the BackupRepository. */
import type { AdmissionCase, AdmissionObject } from './admission-cases.ts';

let serial = 0;
const encryption = { secretRef: { name: 'key' } };
const s3 = { bucket: 'backups', prefix: 'daily/team' };
const hostPath = { path: '/srv/backups' };
const nfs = { server: 'files.example', path: '/export' };

function repository(spec: object, name = `case-repository-${(serial += 1)}`): AdmissionObject {
  const apiVersion = 'storage.clawbernetes.io/v1alpha1';
  return { apiVersion, kind: 'BackupRepository', metadata: { name }, spec: { encryption, ...spec } };
}

function refused(name: string, object: AdmissionObject, field: string, message: string): AdmissionCase {
  return { name, object, refused: { field, message } };
}

/** An update that is refused because what says where it lies is for ever. */
function fixed(name: string, before: object, after: object, field: string): AdmissionCase {
  const id = `case-repository-${(serial += 1)}`;
  return {
    name,
    before: repository(before, id),
    object: repository(after, id),
    refused: { field, message: 'field is immutable' },
  };
}

export const BACKUP_REPOSITORY_CASES: readonly AdmissionCase[] = [
  {
    name: 'accepts the smallest repository in a bucket',
    object: repository({ s3: { bucket: 'backups' } }),
    expect: { 'spec.accessMode': undefined, 'spec.check': undefined, 'status.observedGeneration': -1 },
  },
  {
    name: 'accepts a repository with everything',
    object: repository({
      nfs: { ...nfs, subPath: 'team' },
      nodeName: 'node-1',
      mountOptions: ['vers=4.1'],
      volumeClassName: 'backups',
      accessMode: 'ReadOnly',
      retention: { last: 1, hourly: 2, daily: 3, weekly: 4, monthly: 5, yearly: 6 },
      check: { schedule: '0 3 * * 0', readDataPercent: 0 },
    }),
  },
  refused(
    'refuses a repository that is nowhere',
    repository({}),
    'spec',
    'exactly one of s3, hostPath and nfs must be set',
  ),
  refused(
    'refuses a repository that is in two places',
    repository({ s3, nfs }),
    'spec',
    'exactly one of s3, hostPath and nfs must be set',
  ),
  refused(
    'refuses a directory without its node',
    repository({ hostPath }),
    'spec.nodeName',
    'a hostPath repository needs the node that it is on',
  ),
  refused(
    'refuses a repository without a key',
    { ...repository({}), spec: { s3 } },
    'spec.encryption',
    'Required value',
  ),
  refused(
    'refuses a relative directory',
    repository({ hostPath: { path: 'srv' }, nodeName: 'a' }),
    'spec.hostPath.path',
    'must be an absolute path',
  ),
  refused(
    'refuses a directory that leads up',
    repository({ hostPath: { path: '/srv/../etc' }, nodeName: 'a' }),
    'spec.hostPath.path',
    "must not contain '..'",
  ),
  refused(
    'refuses the root of the host',
    repository({ hostPath: { path: '/.' }, nodeName: 'a' }),
    'spec.hostPath.path',
    'must not be the root of the host',
  ),
  refused(
    'refuses a retention that says nothing',
    repository({ s3, retention: {} }),
    'spec.retention',
    'at least one of last, hourly, daily, weekly, monthly and yearly must be set',
  ),
  refused(
    'refuses to read back more than there is',
    repository({ s3, check: { schedule: '@weekly', readDataPercent: 101 } }),
    'spec.check.readDataPercent',
    'less than or equal to 100',
  ),
  refused(
    'refuses a check at no time',
    repository({ s3, check: { schedule: 'weekly' } }),
    'spec.check.schedule',
    'should match',
  ),
  fixed('keeps the bucket of a repository', { s3 }, { s3: { bucket: 'other' } }, 'spec.s3'),
  fixed(
    'keeps the directory of a repository',
    { hostPath, nodeName: 'a' },
    { hostPath: { path: '/srv/other' }, nodeName: 'a' },
    'spec.hostPath',
  ),
  fixed('keeps the export of a repository', { nfs }, { nfs: { ...nfs, subPath: 'other' } }, 'spec.nfs'),
  fixed('keeps the node of a repository', { s3, nodeName: 'a' }, { s3, nodeName: 'b' }, 'spec.nodeName'),
];
