/** What the kinds of backups look like, for `schema.test.ts`; conditions are added there. */
import type {
  BackupProgress,
  BackupSpec,
  BackupStatus,
  ItemCounts,
  SkippedFile,
  VolumeBackupSpec,
  VolumeBackupStatus,
} from '../../src/api/backup.ts';
import type {
  BackupRepositorySpec,
  BackupRepositoryStatus,
  RepositoryLocation,
} from '../../src/api/backup-repository.ts';
import type { LabelSelector } from '../../src/api/meta.ts';
import type { RestoreSpec, RestoreStatus } from '../../src/api/restore.ts';
import type { BackupTemplate, ScheduleSpec, ScheduleStatus } from '../../src/api/schedule.ts';
import type { VolumeRestoreSpec, VolumeRestoreStatus } from '../../src/api/volume-restore.ts';
import type { Shape } from './shape.ts';

const text = { optional: 'string' } as const;
const mustText = { required: 'string' } as const;
const strings = { optional: { items: 'string' } } as const;
const count = { optional: 'integer' } as const;
const mustCount = { required: 'integer' } as const;
const flag = { optional: 'boolean' } as const;
const reference = { fields: { name: mustText } } as const;
const references = { optional: { items: reference } } as const;

const location: Shape<RepositoryLocation> = {
  fields: {
    s3: {
      optional: {
        fields: {
          bucket: mustText,
          prefix: text,
          endpoint: text,
          region: text,
          forcePathStyle: flag,
          checksums: { optional: { words: { WhenRequired: true, WhenSupported: true } } },
          credentialsSecretRef: { optional: reference },
          caBundleRef: { optional: reference },
        },
      },
    },
    hostPath: { optional: { fields: { path: mustText } } },
    nfs: { optional: { fields: { server: mustText, path: mustText, subPath: text } } },
    nodeName: text,
    mountOptions: strings,
    encryption: { required: { fields: { secretRef: { required: reference } } } },
    volumeClassName: text,
  },
};

const repositorySpec: Shape<BackupRepositorySpec> = {
  fields: {
    ...location.fields,
    accessMode: { optional: { words: { ReadWrite: true, ReadOnly: true } } },
    retention: {
      optional: { fields: { last: count, hourly: count, daily: count, weekly: count, monthly: count, yearly: count } },
    },
    check: { optional: { fields: { schedule: mustText, readDataPercent: count } } },
  },
};

const repositoryStatus: Shape<Omit<BackupRepositoryStatus, 'conditions'>> = {
  fields: {
    observedGeneration: count,
    nodeName: text,
    url: text,
    repositoryID: text,
    backupCount: count,
    sizeBytes: count,
    lastSyncTime: text,
    lastCheckTime: text,
    lastPruneTime: text,
  },
};

const selector: Shape<LabelSelector> = {
  fields: {
    matchLabels: { optional: { map: 'string' } },
    matchExpressions: {
      optional: {
        items: {
          fields: {
            key: mustText,
            operator: { required: { words: { In: true, NotIn: true, Exists: true, DoesNotExist: true } } },
            values: strings,
          },
        },
      },
    },
  },
};

const scope = { words: { Full: true, Volumes: true, Configs: true } } as const;
const partial = { words: { Fail: true, Allow: true } } as const;

const backupTemplate: Shape<BackupTemplate> = {
  fields: {
    scope: { required: scope },
    destination: text,
    repositoryRef: { optional: reference },
    volumeRefs: references,
    volumeSelector: { optional: selector },
    ttl: text,
    deletionPolicy: { optional: { words: { Delete: true, Retain: true } } },
    activeDeadlineSeconds: count,
    priority: count,
    limits: { optional: { fields: { bandwidth: text, parallelism: count } } },
    onPartial: { optional: partial },
  },
};

const backupSpec: Shape<BackupSpec> = {
  fields: {
    ...backupTemplate.fields,
    cancel: flag,
    imported: { optional: { fields: { backupID: mustText } } },
  },
};

const progress: Shape<BackupProgress> = {
  fields: {
    bytesDone: mustCount,
    bytesTotal: mustCount,
    filesDone: mustCount,
    filesTotal: mustCount,
    bytesPerSecond: mustCount,
  },
};

const items: Shape<ItemCounts> = { fields: { succeeded: mustCount, failed: mustCount, skipped: mustCount } };
const skipped: Shape<SkippedFile> = { fields: { volumeName: mustText, path: mustText, message: mustText } };

const backupStatus: Shape<Omit<BackupStatus, 'conditions'>> = {
  fields: {
    observedGeneration: count,
    nodeName: text,
    backupID: text,
    clusterID: text,
    repositoryRef: { optional: reference },
    startTime: text,
    completionTime: text,
    expirationTime: text,
    progress: { optional: progress },
    items: { optional: items },
    uploadedBytes: count,
    skipped: { optional: { items: skipped } },
    skippedCount: count,
    warnings: strings,
    manifestSecretRefs: references,
    record: { optional: { fields: { snapshotID: mustText, objects: mustCount } } },
  },
};

const volumeBackupSpec: Shape<VolumeBackupSpec> = {
  fields: {
    backupRef: { required: reference },
    backupID: mustText,
    clusterID: mustText,
    scope: { required: scope },
    repository: { required: location },
    volumeRef: { required: reference },
    volumeUID: mustText,
    onPartial: { required: partial },
    priority: mustCount,
    bandwidth: text,
    deadline: mustText,
    cancel: flag,
  },
};

const volumeBackupStatus: Shape<Omit<VolumeBackupStatus, 'conditions'>> = {
  fields: {
    observedGeneration: count,
    nodeName: text,
    startTime: text,
    completionTime: text,
    method: { optional: { words: { Snapshot: true, InPlace: true, Bucket: true } } },
    snapshotID: text,
    progress: { optional: progress },
    bytes: count,
    files: count,
    uploadedBytes: count,
    skipped: { optional: { items: skipped } },
    skippedCount: count,
  },
};

const existingFiles = { words: { Skip: true, Overwrite: true, Mirror: true } } as const;
const mode = { words: { New: true, InPlace: true } } as const;

const restoreSpec: Shape<RestoreSpec> = {
  fields: {
    source: {
      required: {
        fields: {
          snapshotRef: { optional: reference },
          backupRef: { optional: reference },
          backupID: text,
          repositoryRef: { optional: reference },
        },
      },
    },
    volumes: { optional: { items: { fields: { from: mustText, to: text, mode: { optional: mode } } } } },
    paths: strings,
    existingFiles: { optional: existingFiles },
    objects: {
      optional: {
        fields: { conflictPolicy: { optional: { words: { Skip: true, Update: true, Fail: true } } } },
      },
    },
    dryRun: flag,
    cancel: flag,
    safetySnapshot: flag,
    whenAttached: { optional: { words: { Refuse: true, Remount: true } } },
  },
};

const restoreStatus: Shape<Omit<RestoreStatus, 'conditions'>> = {
  fields: {
    observedGeneration: count,
    nodeName: text,
    source: {
      optional: {
        fields: { snapshotName: mustText, snapshotUID: mustText, volumeName: mustText, volumeUID: mustText },
      },
    },
    safetySnapshotRef: { optional: reference },
    startTime: text,
    completionTime: text,
    backupID: text,
    progress: { optional: progress },
    repositoryRef: { optional: reference },
    record: {
      optional: {
        fields: {
          repositoryName: mustText,
          snapshotID: text,
          objects: count,
          failure: {
            optional: { fields: { reason: mustText, message: mustText, isFinal: { required: 'boolean' } } },
          },
        },
      },
    },
    volumes: {
      optional: {
        items: {
          fields: {
            from: mustText,
            to: mustText,
            mode: { required: mode },
            snapshotID: mustText,
            files: mustCount,
            bytes: mustCount,
            volumeUID: text,
          },
        },
      },
    },
    items: { optional: items },
    skipped: { optional: { items: skipped } },
    skippedCount: count,
    manifestSecretRef: { optional: reference },
  },
};

const volumeRestoreSpec: Shape<VolumeRestoreSpec> = {
  fields: {
    restoreRef: { optional: reference },
    repository: { required: location },
    accessMode: { optional: { words: { ReadWrite: true, ReadOnly: true } } },
    backupID: mustText,
    snapshotID: text,
    from: { required: { fields: { name: mustText } } },
    volumeRef: { required: reference },
    volumeUID: mustText,
    mode: { required: mode },
    existingFiles: { required: existingFiles },
    paths: strings,
    dryRun: flag,
    safetySnapshotRef: { optional: reference },
    cancel: flag,
  },
};

const volumeRestoreStatus: Shape<Omit<VolumeRestoreStatus, 'conditions'>> = {
  fields: {
    observedGeneration: count,
    nodeName: text,
    startTime: text,
    completionTime: text,
    progress: { optional: progress },
    files: {
      optional: {
        fields: { total: mustCount, restored: count, skipped: count, deleted: count },
      },
    },
    bytes: count,
    skipped: { optional: { items: skipped } },
    skippedCount: count,
  },
};

const scheduleSpec: Shape<ScheduleSpec<BackupTemplate>> = {
  fields: {
    schedule: mustText,
    timeZone: text,
    jitter: text,
    suspend: flag,
    concurrencyPolicy: { optional: { words: { Forbid: true, Allow: true, Replace: true } } },
    startingDeadlineSeconds: count,
    template: {
      required: {
        fields: {
          metadata: {
            optional: {
              fields: { labels: { optional: { map: 'string' } }, annotations: { optional: { map: 'string' } } },
            },
          },
          spec: { required: backupTemplate },
        },
      },
    },
    retention: repositorySpec.fields.retention,
    failedHistoryLimit: count,
  },
};

const scheduleStatus: Shape<Omit<ScheduleStatus, 'conditions'>> = {
  fields: {
    observedGeneration: count,
    lastScheduleTime: text,
    lastSuccessfulTime: text,
    lastMissedTime: text,
    nextScheduleTime: text,
    active: { optional: { items: { fields: { name: mustText, uid: mustText } } } },
  },
};

export const BACKUP_SHAPES: readonly (readonly [kind: string, part: string, shape: { readonly fields: object }])[] = [
  ['BackupRepository', 'spec', repositorySpec],
  ['BackupRepository', 'status', repositoryStatus],
  ['Backup', 'spec', backupSpec],
  ['Backup', 'status', backupStatus],
  ['VolumeBackup', 'spec', volumeBackupSpec],
  ['VolumeBackup', 'status', volumeBackupStatus],
  ['Restore', 'spec', restoreSpec],
  ['Restore', 'status', restoreStatus],
  ['VolumeRestore', 'spec', volumeRestoreSpec],
  ['VolumeRestore', 'status', volumeRestoreStatus],
  ['BackupSchedule', 'spec', scheduleSpec],
  ['BackupSchedule', 'status', scheduleStatus],
];
