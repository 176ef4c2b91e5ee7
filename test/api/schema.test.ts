import { expect } from 'chai';
import { describe, it } from 'mocha';
import { MAX_BACKUP_NAME, MAX_SKIPPED } from '../../src/api/backup.ts';
import { CATEGORY, GROUP, MAX_CAPACITY, VERSION } from '../../src/api/group.ts';
import type { Condition } from '../../src/api/meta.ts';
import { OUR_RESOURCES } from '../../src/api/meta.ts';
import { MAX_MOUNT_NAME, MAX_VOLUME_NAME, mountName } from '../../src/api/names.ts';
import { MAX_PATH } from '../../src/api/paths.ts';
import { MAX_RESTORE_NAME } from '../../src/api/restore.ts';
import type { Retention, ScheduleSpec, ScheduleStatus } from '../../src/api/schedule.ts';
import { MAX_ACTIVE, MAX_BACKUP_SCHEDULE_NAME, MAX_SCHEDULE_NAME } from '../../src/api/schedule.ts';
import type { SnapshotSpec, SnapshotStatus } from '../../src/api/snapshot.ts';
import type { StorageNodeSpec, StorageNodeStatus } from '../../src/api/storage-node.ts';
import type { VolumeSpec, VolumeStatus } from '../../src/api/volume.ts';
import { VOLUME_TYPES } from '../../src/api/volume.ts';
import type { VolumeClassSpec } from '../../src/api/volume-class.ts';
import type { VolumeMountSpec, VolumeMountStatus } from '../../src/api/volume-mount.ts';
import { ADMISSION_CASES } from './admission-cases.ts';
import { BACKUP_SHAPES } from './backup-shapes.ts';
import { CRDS, type Schema, schemaOf } from './crd-files.ts';
import { type Shape, shapeOfSchema } from './shape.ts';

const text = { optional: 'string' } as const;
const strings = { optional: { items: 'string' } } as const;
const mustText = { required: 'string' } as const;
const TYPES = { words: { emptyDir: true, hostPath: true, nfs: true, s3: true } } as const;

const condition: Shape<Condition> = {
  fields: {
    type: mustText,
    status: { required: { words: { True: true, False: true, Unknown: true } } },
    reason: mustText,
    message: mustText,
    lastTransitionTime: mustText,
    observedGeneration: { optional: 'integer' },
  },
};

const volumeSpec: Shape<VolumeSpec> = {
  fields: {
    emptyDir: { optional: { fields: { medium: { optional: { words: { '': true, Memory: true } } } } } },
    hostPath: {
      optional: {
        fields: {
          path: mustText,
          type: { optional: { words: { '': true, Directory: true, DirectoryOrCreate: true } } },
        },
      },
    },
    nfs: { optional: { fields: { server: mustText, path: mustText, subPath: text } } },
    s3: {
      optional: {
        fields: {
          bucket: mustText,
          prefix: text,
          endpoint: text,
          region: text,
          forcePathStyle: { optional: 'boolean' },
          checksums: { optional: { words: { WhenRequired: true, WhenSupported: true } } },
          credentialsSecretRef: { optional: { fields: { name: mustText } } },
          caBundleRef: { optional: { fields: { name: mustText } } },
        },
      },
    },
    capacity: text,
    capacityPolicy: { optional: { words: { Enforce: true, Advisory: true } } },
    accessModes: {
      optional: {
        items: { words: { ReadWriteOnce: true, ReadWriteOncePod: true, ReadOnlyMany: true, ReadWriteMany: true } },
      },
    },
    mountOptions: strings,
    volumeClassName: text,
    nodeName: text,
    nodeSelector: { optional: { map: 'string' } },
    reclaimPolicy: { optional: { words: { Delete: true, Retain: true } } },
    dataSource: {
      optional: {
        fields: {
          snapshotRef: { optional: { fields: { name: mustText } } },
          volumeRef: { optional: { fields: { name: mustText } } },
          backupRef: { optional: { fields: { name: mustText, volumeName: mustText } } },
        },
      },
    },
  },
};

const volumeStatus: Shape<Omit<VolumeStatus, 'conditions'>> = {
  fields: {
    observedGeneration: { optional: 'integer' },
    phase: {
      optional: {
        words: { Pending: true, Available: true, Bound: true, Attached: true, Failed: true, Deleting: true },
      },
    },
    nodeName: text,
    capacity: text,
    reclaimPolicy: { optional: { words: { Delete: true, Retain: true } } },
    provisioning: { optional: { words: { Thick: true, Thin: true } } },
    usage: { optional: { fields: { usedBytes: { required: 'integer' }, observedAt: mustText } } },
    attachments: {
      optional: {
        items: {
          fields: { mountUID: mustText, workloadId: mustText, nodeName: mustText, readOnly: { required: 'boolean' } },
        },
      },
    },
    mounts: { optional: { fields: { desired: { required: 'integer' }, ready: { required: 'integer' } } } },
    lastSnapshotTime: text,
    lastBackupTime: text,
  },
};

const snapshotSpec: Shape<SnapshotSpec> = {
  fields: {
    volumeRef: { required: { fields: { name: mustText } } },
    consistency: { optional: { words: { Crash: true, Filesystem: true } } },
    freezeTimeout: text,
    ttl: text,
    deletionPolicy: { optional: { words: { Delete: true, Retain: true } } },
  },
};

const bytes = { required: 'integer' } as const;

/** `volumeSpec` is whatever a Volume's spec is, and compared there. */
const snapshotStatus = {
  fields: {
    observedGeneration: { optional: 'integer' },
    nodeName: text,
    source: {
      optional: { fields: { volumeName: mustText, volumeUID: mustText, volumeSpec: { required: 'anything' } } },
    },
    readyToUse: { optional: 'boolean' },
    creationTime: text,
    restoreSize: text,
    method: {
      optional: {
        words: { Reflink: true, Subvolume: true, ReflinkTree: true, Copy: true, ServerSideCopy: true },
      },
    },
    usedBytes: { optional: 'integer' },
    progress: { optional: { fields: { bytesDone: bytes, bytesTotal: bytes } } },
  },
} satisfies { readonly fields: Record<keyof Omit<SnapshotStatus, 'conditions'>, unknown> };

const count = { optional: 'integer' } as const;

const retention: Shape<Retention> = {
  fields: { last: count, hourly: count, daily: count, weekly: count, monthly: count, yearly: count },
};

const scheduleSpec: Shape<ScheduleSpec<SnapshotSpec>> = {
  fields: {
    schedule: mustText,
    timeZone: text,
    jitter: text,
    suspend: { optional: 'boolean' },
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
          spec: { required: snapshotSpec },
        },
      },
    },
    retention: { optional: retention },
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

const mountSpec: Shape<VolumeMountSpec> = {
  fields: {
    volumeRef: { required: { fields: { name: mustText } } },
    workloadId: mustText,
    mountPath: mustText,
    readOnly: { optional: 'boolean' },
    nodeName: text,
    hostPath: text,
  },
};

const mountStatus: Shape<Omit<VolumeMountStatus, 'conditions'>> = {
  fields: {
    observedGeneration: { optional: 'integer' },
    phase: {
      optional: { words: { Pending: true, Mounting: true, Mounted: true, Failed: true, Unmounting: true } },
    },
    nodeName: text,
    hostPath: text,
    source: text,
    mountedAt: text,
    restarts: { optional: 'integer' },
    busyBy: { optional: { items: { fields: { pid: { required: 'integer' }, comm: mustText } } } },
  },
};

const classSpec: Shape<VolumeClassSpec> = {
  fields: {
    allowedNamespaces: {
      optional: {
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
      },
    },
    allowedTypes: { required: { items: TYPES } },
    allowedHostPathPrefixes: strings,
    allowedNfsServers: strings,
    allowedS3Endpoints: strings,
    allowedS3Buckets: strings,
    allowAmbientCredentials: { optional: 'boolean' },
    allowedMountOptions: strings,
    defaults: {
      optional: {
        fields: {
          pool: text,
          provisioning: { optional: { words: { Thick: true, Thin: true } } },
          reclaimPolicy: { optional: { words: { Delete: true, Retain: true } } },
          s3: {
            optional: {
              fields: {
                endpoint: text,
                region: text,
                forcePathStyle: { optional: 'boolean' },
                credentialsSecretRef: { optional: { fields: { name: mustText } } },
              },
            },
          },
          mountOptions: strings,
        },
      },
    },
  },
};

const nodeSpec: Shape<StorageNodeSpec> = { fields: { unschedulable: { optional: 'boolean' } } };

const nodeStatus: Shape<Omit<StorageNodeStatus, 'conditions'>> = {
  fields: {
    observedGeneration: { optional: 'integer' },
    nodeInfo: {
      optional: {
        fields: {
          clawstoreVersion: mustText,
          kernelVersion: mustText,
          osImage: mustText,
          architecture: mustText,
          bootID: mustText,
        },
      },
    },
    mountRoot: text,
    capacity: text,
    free: text,
    reserved: text,
    pools: {
      optional: {
        items: {
          fields: {
            name: mustText,
            path: mustText,
            filesystem: mustText,
            capacity: mustText,
            free: mustText,
            reserved: mustText,
            features: strings,
          },
        },
      },
    },
    types: {
      optional: {
        items: {
          fields: { name: { required: TYPES }, supported: { required: 'boolean' }, reason: text, message: text },
        },
      },
    },
    features: {
      optional: {
        items: { fields: { name: mustText, available: { required: 'boolean' }, reason: text, message: text } },
      },
    },
    orphans: {
      optional: {
        items: {
          fields: {
            kind: { required: { words: { Volume: true, VolumeMount: true, Snapshot: true } } },
            uid: mustText,
            namespace: mustText,
            name: mustText,
            path: mustText,
          },
        },
      },
    },
    orphanCount: { optional: 'integer' },
  },
};

/** Conditions are compared apart: their `type` is free text in every schema, and a word of the kind in TypeScript. */
function withConditions(shape: { readonly fields: object }): unknown {
  return { fields: { ...shape.fields, conditions: { optional: { items: condition } } } };
}

const SHAPES: readonly (readonly [kind: string, part: string, shape: unknown])[] = [
  ['Volume', 'spec', volumeSpec],
  ['Volume', 'status', withConditions(volumeStatus)],
  ['VolumeMount', 'spec', mountSpec],
  ['VolumeMount', 'status', withConditions(mountStatus)],
  ['Snapshot', 'spec', snapshotSpec],
  ['Snapshot', 'status', withConditions(snapshotStatus)],
  ...BACKUP_SHAPES.map(
    ([kind, part, shape]) => [kind, part, part === 'status' ? withConditions(shape) : shape] as const,
  ),
  ['SnapshotSchedule', 'spec', scheduleSpec],
  ['SnapshotSchedule', 'status', withConditions(scheduleStatus)],
  ['VolumeClass', 'spec', classSpec],
  ['StorageNode', 'spec', nodeSpec],
  ['StorageNode', 'status', withConditions(nodeStatus)],
];

function walk(schema: Schema, path: string, visit: (schema: Schema, path: string) => void): void {
  visit(schema, path);
  for (const [name, field] of Object.entries(schema.properties ?? {})) walk(field, `${path}.${name}`, visit);
  if (schema.items !== undefined) walk(schema.items, `${path}[]`, visit);
}

describe('the CRDs and the types', () => {
  for (const [kind, part, shape] of SHAPES) {
    it(`agree on every field of ${kind}.${part}`, () => {
      expect(shapeOfSchema(schemaOf(kind, part))).to.deep.equal(shape);
    });
  }

  it('agree on which kinds there are and which parts they have', () => {
    const parts = [...CRDS.keys()].flatMap((kind) =>
      ['spec', 'status'].filter((part) => schemaOf(kind).properties?.[part]).map((part) => `${kind}.${part}`),
    );
    expect(parts).to.have.members(SHAPES.map(([kind, part]) => `${kind}.${part}`));
  });

  it('agree on group, version, plural and scope', () => {
    const described = [...CRDS.values()].map(({ spec }) => ({
      group: spec.group,
      version: spec.versions[0].name,
      plural: spec.names.plural,
      kind: spec.names.kind,
      namespaced: spec.scope === 'Namespaced',
    }));
    expect(described).to.have.deep.members([...OUR_RESOURCES]);
    expect(described.every(({ group, version }) => group === GROUP && version === VERSION)).to.equal(true);
  });

  it('agree on the limits of names, paths and capacities', () => {
    expect(schemaOf('Volume', 'metadata', 'name').maxLength).to.equal(MAX_VOLUME_NAME);
    expect(schemaOf('VolumeMount', 'metadata', 'name').maxLength).to.equal(MAX_MOUNT_NAME);
    expect(mountName('v'.repeat(MAX_VOLUME_NAME), 'w').length).to.be.at.most(MAX_MOUNT_NAME);
    expect(schemaOf('Restore', 'metadata', 'name').maxLength).to.equal(MAX_RESTORE_NAME);
    expect(schemaOf('Backup', 'metadata', 'name').maxLength).to.equal(MAX_BACKUP_NAME);
    expect(schemaOf('Backup', 'status', 'skipped').maxItems).to.equal(MAX_SKIPPED);
    expect(schemaOf('SnapshotSchedule', 'metadata', 'name').maxLength).to.equal(MAX_SCHEDULE_NAME);
    expect(schemaOf('BackupSchedule', 'metadata', 'name').maxLength).to.equal(MAX_BACKUP_SCHEDULE_NAME);
    expect(schemaOf('BackupSchedule', 'status', 'active').maxItems).to.equal(MAX_ACTIVE);
    expect(MAX_BACKUP_SCHEDULE_NAME + '-202601010000'.length).to.equal(MAX_BACKUP_NAME);
    expect(schemaOf('SnapshotSchedule', 'status', 'active').maxItems).to.equal(MAX_ACTIVE);
    expect(schemaOf('Volume', 'spec', 'hostPath', 'path').maxLength).to.equal(MAX_PATH);
    expect(schemaOf('Volume', 'spec', 'hostPath', 'path').pattern).to.equal(undefined);
    const rules = schemaOf('Volume', 'spec', 'capacity')['x-kubernetes-validations'] ?? [];
    expect(rules.map(({ message }) => message)).to.include(`must be at most ${MAX_CAPACITY}`);
    expect(Object.keys(schemaOf('Volume', 'spec').properties ?? {})).to.include.members([...VOLUME_TYPES]);
  });
});

describe('the CRDs', () => {
  const COLUMNS: Readonly<Record<string, readonly [shorts: string, columns: string, wide: string]>> = {
    Volume: ['cvol', 'Phase,Capacity,Node,Ready,Reason,Age', 'Access Mode,Reclaim,Used Bytes,Mounts'],
    VolumeMount: ['cmnt', 'Volume,Phase,Node,Mount Path,Ready,Reason,Age', 'Host Path,Workload'],
    Snapshot: ['csnap', 'Volume,Ready To Use,Restore Size,Consistent,Reason,Created,Age', 'Method,Node'],
    Restore: ['crs', 'Snapshot,Backup,Volume,Ready,Reason,Completed,Age', 'Safety Snapshot,Node'],
    BackupRepository: ['crepo', 'URL,Ready,Reason,Backups,Key Exported,Age', 'Size,Last Sync,Last Check,Node'],
    Backup: ['cbk', 'Scope,Repository,Ready,Reason,Completed,Age', 'Files Done,Bytes Done,Backup ID,Skipped,Node'],
    VolumeBackup: ['cvbk', 'Backup,Volume,Ready,Reason,Node,Age', 'Files Done,Bytes Done'],
    VolumeRestore: ['cvrs', 'Restore,Volume,Backup ID,Ready,Reason,Node,Age', ''],
    BackupSchedule: [
      'cbs',
      'Scope,Schedule,Time Zone,Suspend,Ready,Last Schedule,Last Success,Age',
      'Reason,Next Schedule',
    ],
    SnapshotSchedule: [
      'css',
      'Volume,Schedule,Time Zone,Suspend,Ready,Last Schedule,Last Success,Age',
      'Reason,Next Schedule',
    ],
    VolumeClass: ['cvc', 'Types,Pool,Provisioning,Reclaim,Age', 'Host Paths'],
    StorageNode: ['cnode', 'Capacity,Free,Ready,Reason,Orphans,Age', 'Unschedulable,Reserved,Version,Kernel'],
  };

  it('have these short names and columns', () => {
    const found = [...CRDS].map(([kind, { spec }]) => {
      const columns = spec.versions[0].additionalPrinterColumns;
      const names = (wide: boolean) =>
        columns
          .filter(({ priority }) => (priority ?? 0) > 0 === wide)
          .map(({ name }) => name)
          .join();
      return [kind, [spec.names.shortNames.join(), names(false), names(true)]];
    });
    expect(Object.fromEntries(found)).to.deep.equal(COLUMNS);
  });

  it('are in the category and carry the name that their group and plural make', () => {
    for (const { metadata, spec } of CRDS.values()) {
      expect(spec.names.categories).to.deep.equal([CATEGORY]);
      expect(metadata.name).to.equal(`${spec.names.plural}.${spec.group}`);
    }
  });

  it('let agents select what is theirs', () => {
    const fields = (kind: string) => CRDS.get(kind)?.spec.versions[0].selectableFields?.map(({ jsonPath }) => jsonPath);
    expect(fields('Volume')).to.deep.equal(['.status.nodeName']);
    expect(fields('VolumeMount')).to.deep.equal(['.status.nodeName', '.spec.volumeRef.name']);
  });

  it('start every status at observedGeneration -1, on the object and on the property', () => {
    for (const [kind, { spec }] of CRDS) {
      const status = schemaOf(kind).properties?.['status'];
      expect(spec.versions[0].subresources?.status !== undefined, kind).to.equal(status !== undefined);
      if (status === undefined) continue;
      expect(status.default, kind).to.deep.equal({ observedGeneration: -1 });
      expect(status.properties?.['observedGeneration']?.default, kind).to.equal(-1);
    }
  });

  it('give no default to a field that a class may set', () => {
    for (const field of Object.keys(schemaOf('VolumeClass', 'spec', 'defaults').properties ?? {})) {
      expect(schemaOf('Volume', 'spec').properties?.[field]?.default, field).to.equal(undefined);
    }
  });

  it('describe every field for kubectl explain', () => {
    const silent: string[] = [];
    for (const kind of CRDS.keys()) {
      walk(schemaOf(kind), kind, (schema, path) => {
        const isPlainItem = path.endsWith('[]') && schema.type === 'string';
        if (!schema.description && !isPlainItem && path !== `${kind}.metadata`) silent.push(path);
      });
    }
    expect(silent).to.deep.equal([]);
  });

  it('say how every list merges, and what every rule means', () => {
    const silent: string[] = [];
    for (const kind of CRDS.keys()) {
      walk(schemaOf(kind), kind, (schema, path) => {
        if (schema.type === 'array' && !schema['x-kubernetes-list-type']) silent.push(path);
        for (const rule of schema['x-kubernetes-validations'] ?? []) if (!rule.message) silent.push(rule.rule);
      });
    }
    expect(silent).to.deep.equal([]);
  });
});

describe('the table of admission cases', () => {
  it('has unique names of cases and of objects', () => {
    const names = ADMISSION_CASES.map(({ name }) => name);
    const objects = ADMISSION_CASES.map(({ object }) => `${object.kind}/${object.metadata.name}`);
    expect(new Set(names).size).to.equal(names.length);
    expect(new Set(objects).size).to.equal(objects.length);
  });

  it('has a case for the message of every rule', () => {
    const said = ADMISSION_CASES.flatMap(({ refused }) => (refused === undefined ? [] : [refused.message]));
    const missing: string[] = [];
    for (const kind of CRDS.keys()) {
      walk(schemaOf(kind), kind, (schema) => {
        for (const { message } of schema['x-kubernetes-validations'] ?? []) {
          if (message !== undefined && !said.some((words) => message.includes(words))) missing.push(message);
        }
      });
    }
    expect(missing).to.deep.equal([]);
  });
});
