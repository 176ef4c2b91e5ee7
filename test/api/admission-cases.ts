/**
 * Objects that an API server with our CRDs must accept or refuse, and with which words. Data only: the end-to-end suite
 * runs it against the embedded API server and against a real kube-apiserver, `schema.test.ts` checks the table itself.
 *
 * How to run a case: create a namespace, apply `before` if it is there (with `status`, if given, through the status
 * subresource), then create `object` (or update to it, when there is a `before`) with strict field validation, dry-run or
 * not. A refusal is a Status whose `details.causes[].field` (or whose message, for unknown fields) has `field`, and whose
 * message has `message`. Afterwards remove what was made.
 */
import { BACKUP_CASES } from './backup-cases.ts';
import { BACKUP_REPOSITORY_CASES } from './backup-repository-cases.ts';
import { BACKUP_SCHEDULE_CASES } from './backup-schedule-cases.ts';
import { RESTORE_CASES } from './restore-cases.ts';

export interface AdmissionCase {
  /** What the server does, as a sentence. */
  readonly name: string;
  /** The object to send. Names are unique within the table. */
  readonly object: AdmissionObject;
  /** The object as it is before; `object` is then an update of it. */
  readonly before?: AdmissionObject;
  /** Written through the status subresource between `before` and `object`. */
  readonly status?: Readonly<Record<string, unknown>>;
  /** Absent: the object is accepted. */
  readonly refused?: {
    /** Path of the field that the message must name. */
    readonly field: string;
    /** What the message must say besides. */
    readonly message: string;
  };
  /** Values that an accepted object must have, by path: defaults and what must not be defaulted (`undefined`). */
  readonly expect?: Readonly<Record<string, unknown>>;
}

export interface AdmissionObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec?: unknown;
  readonly status?: unknown;
}

const apiVersion = 'storage.clawbernetes.io/v1alpha1';
let serial = 0;

function object(kind: string, spec: unknown, name = `case-${(serial += 1)}`): AdmissionObject {
  return { apiVersion, kind, metadata: { name }, ...(spec === undefined ? {} : { spec }) };
}

const volume = (spec: unknown, name?: string): AdmissionObject => object('Volume', spec, name);
const mountSpec = { volumeRef: { name: 'data' }, workloadId: 'w1', mountPath: '/data' };
const mount = (spec: unknown, name?: string): AdmissionObject => object('VolumeMount', spec, name);
const volumeClass = (spec: unknown): AdmissionObject => object('VolumeClass', spec);
const hostPath = (path: unknown): AdmissionObject => volume({ hostPath: { path } });
const nfs = (source: Readonly<Record<string, unknown>>): AdmissionObject =>
  volume({ nfs: { server: 'files.example', path: '/export', ...source } });

const s3 = (source: Readonly<Record<string, unknown>>): AdmissionObject =>
  volume({ s3: { bucket: 'data', ...source } });

function refused(name: string, sent: AdmissionObject, field: string, message: string): AdmissionCase {
  return { name, object: sent, refused: { field, message } };
}

function accepted(name: string, sent: AdmissionObject, expect?: Readonly<Record<string, unknown>>): AdmissionCase {
  return { name, object: sent, ...(expect === undefined ? {} : { expect }) };
}

/** An update of the same object from one spec to another. */
function update(
  name: string,
  before: AdmissionObject,
  spec: unknown,
  refusal?: AdmissionCase['refused'],
  status?: Readonly<Record<string, unknown>>,
): AdmissionCase {
  return {
    name,
    before,
    object: { ...before, spec },
    ...(status === undefined ? {} : { status }),
    ...(refusal === undefined ? {} : { refused: refusal }),
  };
}

const IMMUTABLE = 'field is immutable';
const ONE_SOURCE = 'exactly one source (emptyDir, hostPath, nfs or s3) must be set';
const PATTERN = 'should match';

const volumes: readonly AdmissionCase[] = [
  accepted('accepts an emptyDir and fills in only what no class may set', volume({ emptyDir: {} }), {
    'spec.accessModes': ['ReadWriteOnce'],
    'spec.capacity': undefined,
    'spec.reclaimPolicy': undefined,
    'spec.mountOptions': undefined,
    'spec.volumeClassName': undefined,
    'spec.emptyDir.medium': undefined,
    'status.observedGeneration': -1,
  }),
  accepted('accepts a hostPath and expects a directory there', volume({ hostPath: { path: '/srv/a' } }), {
    'spec.hostPath.type': 'Directory',
    'status.observedGeneration': -1,
  }),
  accepted(
    'accepts an empty type, as Kubernetes manifests have it',
    volume({ hostPath: { path: '/srv/a', type: '' } }),
  ),
  accepted('accepts an export and a directory of its own below it', nfs({ subPath: 'teams/a/..b' }), {
    'spec.reclaimPolicy': undefined,
    'spec.capacity': undefined,
  }),
  accepted('accepts a server by its IPv4 address', nfs({ server: '192.0.2.7' })),
  accepted('accepts a server by its IPv6 address', nfs({ server: '2001:db8::7' })),
  accepted('accepts the root of a server', nfs({ path: '/' })),
  accepted('accepts to delete a directory of its own', {
    ...volume({ nfs: { server: 'files.example', path: '/export', subPath: 'a' }, reclaimPolicy: 'Delete' }),
  }),
  accepted('accepts a bucket', s3({}), { 'spec.s3.region': undefined, 'spec.s3.forcePathStyle': undefined }),
  accepted(
    'accepts a bucket with everything that says how it is reached',
    s3({
      prefix: 'teams/a..b/.c',
      endpoint: 'https://s3.example.com:9000',
      region: 'eu-west-1',
      forcePathStyle: true,
      checksums: 'WhenSupported',
      credentialsSecretRef: { name: 'keys' },
      caBundleRef: { name: 'ca' },
    }),
  ),
  accepted('accepts an endpoint by its IPv6 address', s3({ endpoint: 'http://[::1]:9000' })),
  accepted(
    'accepts to delete what lies under a prefix',
    volume({ s3: { bucket: 'data', prefix: 'a' }, reclaimPolicy: 'Delete' }),
  ),
  accepted('accepts a path whose names only contain dots', hostPath('/srv/..a/b../...')),
  accepted('accepts a volume with every field', {
    ...volume({
      emptyDir: { medium: 'Memory' },
      capacity: '1.5Gi',
      capacityPolicy: 'Enforce',
      accessModes: ['ReadWriteOncePod'],
      mountOptions: ['noatime', 'uid=1000'],
      volumeClassName: 'fast',
      nodeName: 'node-1.example',
      nodeSelector: { 'kubernetes.io/arch': 'amd64' },
      reclaimPolicy: 'Retain',
    }),
  }),
  accepted('accepts a capacity of exactly 16Pi', volume({ emptyDir: {}, capacity: '16Pi' })),
  accepted('accepts a capacity with an exponent', volume({ emptyDir: {}, capacity: '1e9' })),
  accepted('accepts a name of 63 characters', volume({ emptyDir: {} }, `n${'x'.repeat(62)}`)),

  refused('refuses a volume without a spec', volume(undefined), 'spec', 'Required value'),
  refused('refuses a volume without a source', volume({}), 'spec', ONE_SOURCE),
  refused('refuses two sources', volume({ emptyDir: {}, hostPath: { path: '/srv/a' } }), 'spec', ONE_SOURCE),
  refused(
    'refuses a source that no version knows',
    volume({ iscsi: { targetPortal: 'a' } }),
    'spec.iscsi',
    'unknown field',
  ),
  refused('refuses an unknown field', volume({ emptyDir: {}, colour: 'red' }), 'spec.colour', 'unknown field'),
  refused(
    'refuses an unknown field in a source',
    volume({ emptyDir: { sizeLimit: '1Gi' } }),
    'spec.emptyDir.sizeLimit',
    'unknown field',
  ),
  refused(
    'refuses an unknown medium',
    volume({ emptyDir: { medium: 'HugePages' } }),
    'spec.emptyDir.medium',
    'Unsupported value',
  ),
  refused('refuses a hostPath without a path', volume({ hostPath: {} }), 'spec.hostPath.path', 'Required value'),
  refused('refuses an empty path', hostPath(''), 'spec.hostPath.path', 'at least 1 chars long'),
  refused('refuses a relative path', hostPath('srv/a'), 'spec.hostPath.path', 'must be an absolute path'),
  refused('refuses .. in the middle of a path', hostPath('/srv/../etc'), 'spec.hostPath.path', "must not contain '..'"),
  refused('refuses .. at the end of a path', hostPath('/srv/..'), 'spec.hostPath.path', "must not contain '..'"),
  refused(
    'refuses NUL in a path',
    hostPath('/srv/a\u0000b'),
    'spec.hostPath.path',
    'must not contain control characters',
  ),
  refused(
    'refuses a line feed in a path',
    hostPath('/srv/a\nb'),
    'spec.hostPath.path',
    'must not contain control characters',
  ),
  refused(
    'refuses a path that is too long',
    hostPath(`/${'a'.repeat(4095)}`),
    'spec.hostPath.path',
    'may not be more than 4095',
  ),
  refused('refuses a path that is a number', hostPath(7), 'spec.hostPath.path', 'must be of type string'),
  refused(
    'refuses a hostPath that is a file',
    volume({ hostPath: { path: '/srv/a', type: 'File' } }),
    'spec.hostPath.type',
    'Unsupported value',
  ),
  refused(
    'refuses to delete the data of a hostPath',
    volume({ hostPath: { path: '/srv/a' }, reclaimPolicy: 'Delete' }),
    'spec.reclaimPolicy',
    'can only be retained',
  ),
  refused('refuses an s3 source without a bucket', volume({ s3: {} }), 'spec.s3.bucket', 'Required'),
  ...['Data', 'data/a', 'a b', '-data', 'data.'].map((bucket) =>
    refused(`refuses the bucket "${bucket}"`, s3({ bucket }), 'spec.s3.bucket', PATTERN),
  ),
  ...['/a', 'a/', 'a//b', '../a', 'a/./b', '..'].map((prefix) =>
    refused(
      `refuses the prefix "${prefix}"`,
      s3({ prefix }),
      'spec.s3.prefix',
      "must be a relative path without empty, '.' or '..' parts",
    ),
  ),
  refused(
    'refuses a line break in a prefix',
    s3({ prefix: 'a\nb' }),
    'spec.s3.prefix',
    'must not contain control characters',
  ),
  ...['s3.example.com', 'ftp://a', 'https://u:p@a', 'https://a/b', 'https://a?b', 'https://a:x'].map((endpoint) =>
    refused(`refuses the endpoint "${endpoint}"`, s3({ endpoint }), 'spec.s3.endpoint', PATTERN),
  ),
  refused('refuses unknown checksums', s3({ checksums: 'Never' }), 'spec.s3.checksums', 'Unsupported value'),
  refused(
    'refuses a Secret in another namespace',
    s3({ credentialsSecretRef: { name: 'a/b' } }),
    'spec.s3.credentialsSecretRef.name',
    PATTERN,
  ),
  refused(
    'refuses to delete a whole bucket',
    volume({ s3: { bucket: 'data' }, reclaimPolicy: 'Delete' }),
    'spec.reclaimPolicy',
    'an s3 volume without a prefix is a whole bucket',
  ),
  refused('refuses an nfs source without a server', volume({ nfs: { path: '/a' } }), 'spec.nfs.server', 'Required'),
  refused('refuses an nfs source without a path', volume({ nfs: { server: 'a' } }), 'spec.nfs.path', 'Required'),
  ...['Files.example', 'files.example:2049', '[::1]', 'a b', '-a', '256.1.1.1', '10.1', 'a/b', 'fe80::1%eth0'].map(
    (server) =>
      refused(
        `refuses the server name ${server}`,
        nfs({ server }),
        'spec.nfs.server',
        'must be a DNS name in lower case or an IP address',
      ),
  ),
  refused('refuses a relative export', nfs({ path: 'export' }), 'spec.nfs.path', 'must be an absolute path'),
  ...['/export/', '//export', '/a//b', '/a/./b', '/a/../b', '/..'].map((path) =>
    refused(`refuses the export ${path}`, nfs({ path }), 'spec.nfs.path', "must not contain empty, '.' or '..' parts"),
  ),
  refused('refuses a tab in an export', nfs({ path: '/a\tb' }), 'spec.nfs.path', 'must not contain control characters'),
  ...['/a', 'a/', 'a//b', '.', './a', '..', 'a/../b', 'a/..'].map((subPath) =>
    refused(
      `refuses the subPath ${subPath}`,
      nfs({ subPath }),
      'spec.nfs.subPath',
      "must be a relative path without empty, '.' or '..' parts",
    ),
  ),
  refused('refuses an empty subPath', nfs({ subPath: '' }), 'spec.nfs.subPath', 'at least 1 chars long'),
  refused(
    'refuses a line feed in a subPath',
    nfs({ subPath: 'a\nb' }),
    'spec.nfs.subPath',
    'must not contain control characters',
  ),
  refused(
    'refuses to delete an export',
    volume({ nfs: { server: 'a', path: '/b' }, reclaimPolicy: 'Delete' }),
    'spec.reclaimPolicy',
    'an nfs volume without a subPath was not made by us',
  ),
  refused('refuses capacity 0', volume({ emptyDir: {}, capacity: '0' }), 'spec.capacity', 'must be more than 0'),
  refused('refuses capacity 0Gi', volume({ emptyDir: {}, capacity: '0.0Gi' }), 'spec.capacity', 'must be more than 0'),
  refused(
    'refuses a negative capacity',
    volume({ emptyDir: {}, capacity: '-1Gi' }),
    'spec.capacity',
    'must be more than 0',
  ),
  refused(
    'refuses an absurd capacity',
    volume({ emptyDir: {}, capacity: '17Pi' }),
    'spec.capacity',
    'must be at most 16Pi',
  ),
  refused(
    'refuses an absurd exponent',
    volume({ emptyDir: {}, capacity: '1e99' }),
    'spec.capacity',
    'must be at most 16Pi',
  ),
  refused(
    'refuses a capacity that is no quantity',
    volume({ emptyDir: {}, capacity: '10 GB' }),
    'spec.capacity',
    PATTERN,
  ),
  refused('refuses a capacity in thousandths', volume({ emptyDir: {}, capacity: '100m' }), 'spec.capacity', PATTERN),
  refused(
    'refuses a capacity that is a number',
    volume({ emptyDir: {}, capacity: 10 }),
    'spec.capacity',
    'must be of type string',
  ),
  refused('refuses an empty capacity', volume({ emptyDir: {}, capacity: '' }), 'spec.capacity', PATTERN),
  refused(
    'refuses an unknown capacity policy',
    volume({ emptyDir: {}, capacityPolicy: 'Maybe' }),
    'spec.capacityPolicy',
    'Unsupported value',
  ),
  refused('refuses no access mode', volume({ emptyDir: {}, accessModes: [] }), 'spec.accessModes', 'at least 1 items'),
  refused(
    'refuses two access modes',
    volume({ emptyDir: {}, accessModes: ['ReadWriteOnce', 'ReadOnlyMany'] }),
    'spec.accessModes',
    'must have at most 1 item',
  ),
  refused(
    'refuses an unknown access mode',
    volume({ emptyDir: {}, accessModes: ['RWO'] }),
    'spec.accessModes[0]',
    'Unsupported value',
  ),
  refused(
    'refuses several mount options in one',
    volume({ emptyDir: {}, mountOptions: ['noatime,suid'] }),
    'spec.mountOptions[0]',
    PATTERN,
  ),
  refused(
    'refuses a mount option with a blank',
    volume({ emptyDir: {}, mountOptions: ['noatime', 'a b'] }),
    'spec.mountOptions[1]',
    PATTERN,
  ),
  refused(
    'refuses a mount option that looks like a flag',
    volume({ emptyDir: {}, mountOptions: ['--bind'] }),
    'spec.mountOptions[0]',
    PATTERN,
  ),
  refused('refuses traversal in a node name', volume({ emptyDir: {}, nodeName: '../a' }), 'spec.nodeName', PATTERN),
  refused(
    'refuses an empty node name',
    volume({ emptyDir: {}, nodeName: '' }),
    'spec.nodeName',
    'at least 1 chars long',
  ),
  refused(
    'refuses capitals in a class name',
    volume({ emptyDir: {}, volumeClassName: 'Fast' }),
    'spec.volumeClassName',
    PATTERN,
  ),
  refused(
    'refuses an unknown reclaim policy',
    volume({ emptyDir: {}, reclaimPolicy: 'Recycle' }),
    'spec.reclaimPolicy',
    'Unsupported value',
  ),
  refused(
    'refuses a name of 64 characters',
    volume({ emptyDir: {} }, `n${'x'.repeat(63)}`),
    'metadata.name',
    'may not be more than 63',
  ),
  refused('refuses capitals in a name', volume({ emptyDir: {} }, 'Data'), 'metadata.name', 'RFC 1123 subdomain'),
  refused('refuses two dots in a name', volume({ emptyDir: {} }, 'a..b'), 'metadata.name', 'RFC 1123 subdomain'),
];

const volumeUpdates: readonly AdmissionCase[] = [
  update('lets a capacity grow', volume({ emptyDir: {}, capacity: '1Gi' }), { emptyDir: {}, capacity: '2Gi' }),
  update('takes the same capacity in other words', volume({ emptyDir: {}, capacity: '1Gi' }), {
    emptyDir: {},
    capacity: '1024Mi',
  }),
  update('lets a capacity grow past the default one', volume({ emptyDir: {} }), { emptyDir: {}, capacity: '11Gi' }),
  update('lets a hostPath get a capacity', volume({ hostPath: { path: '/srv/a' } }), {
    hostPath: { path: '/srv/a' },
    capacity: '1Gi',
  }),
  update('lets policies and mount options change', volume({ emptyDir: {} }), {
    emptyDir: {},
    reclaimPolicy: 'Retain',
    capacityPolicy: 'Advisory',
    mountOptions: ['noexec'],
  }),
  update('lets the node selector change while there is no node', volume({ emptyDir: {}, nodeSelector: { a: 'b' } }), {
    emptyDir: {},
    nodeSelector: { a: 'c' },
  }),

  update(
    'refuses a capacity that shrinks',
    volume({ emptyDir: {}, capacity: '2Gi' }),
    { emptyDir: {}, capacity: '2G' },
    { field: 'spec.capacity', message: 'capacity only grows' },
  ),
  update(
    'refuses to take a capacity away',
    volume({ emptyDir: {}, capacity: '2Gi' }),
    { emptyDir: {} },
    { field: 'spec.capacity', message: 'cannot be lowered or removed' },
  ),
  update(
    'refuses a capacity below the default one',
    volume({ emptyDir: {} }),
    { emptyDir: {}, capacity: '1Gi' },
    { field: 'spec.capacity', message: 'an emptyDir volume without one has 10Gi' },
  ),
  update(
    'refuses another type of source',
    volume({ emptyDir: {} }),
    { hostPath: { path: '/srv/a' } },
    { field: 'spec', message: 'the type of the source is immutable' },
  ),
  update(
    'refuses another path',
    volume({ hostPath: { path: '/srv/a' } }),
    { hostPath: { path: '/srv/b' } },
    { field: 'spec.hostPath', message: IMMUTABLE },
  ),
  update(
    'refuses another bucket',
    s3({ prefix: 'a' }),
    { s3: { bucket: 'other', prefix: 'a' } },
    { field: 'spec.s3', message: IMMUTABLE },
  ),
  update(
    'refuses another export',
    nfs({}),
    { nfs: { server: 'files.example', path: '/other' } },
    { field: 'spec.nfs', message: IMMUTABLE },
  ),
  update(
    'refuses to take a subPath away',
    nfs({ subPath: 'a' }),
    { nfs: { server: 'files.example', path: '/export' } },
    { field: 'spec.nfs', message: IMMUTABLE },
  ),
  update(
    'refuses another medium',
    volume({ emptyDir: {} }),
    { emptyDir: { medium: 'Memory' } },
    { field: 'spec.emptyDir', message: IMMUTABLE },
  ),
  update(
    'refuses another access mode',
    volume({ emptyDir: {} }),
    { emptyDir: {}, accessModes: ['ReadWriteMany'] },
    { field: 'spec.accessModes', message: IMMUTABLE },
  ),
  update(
    'refuses another class',
    volume({ emptyDir: {}, volumeClassName: 'a' }),
    { emptyDir: {}, volumeClassName: 'b' },
    { field: 'spec.volumeClassName', message: IMMUTABLE },
  ),
  update(
    'refuses a class that is named later',
    volume({ emptyDir: {} }),
    { emptyDir: {}, volumeClassName: 'b' },
    { field: 'spec.volumeClassName', message: IMMUTABLE },
  ),
  update(
    'refuses another node',
    volume({ emptyDir: {}, nodeName: 'a' }),
    { emptyDir: {}, nodeName: 'b' },
    { field: 'spec.nodeName', message: IMMUTABLE },
  ),
  update(
    'refuses to take the node away',
    volume({ emptyDir: {}, nodeName: 'a' }),
    { emptyDir: {} },
    { field: 'spec.nodeName', message: IMMUTABLE },
  ),
  update(
    'refuses another node selector once there is a node',
    volume({ emptyDir: {}, nodeSelector: { a: 'b' } }),
    { emptyDir: {}, nodeSelector: { a: 'c' } },
    { field: 'spec.nodeSelector', message: 'immutable once the volume has a node' },
    { nodeName: 'a' },
  ),
  update(
    'lets other fields change once there is a node',
    volume({ emptyDir: {}, nodeSelector: { a: 'b' } }),
    { emptyDir: {}, nodeSelector: { a: 'b' }, mountOptions: ['noatime'] },
    undefined,
    { nodeName: 'a' },
  ),
];

const mounts: readonly AdmissionCase[] = [
  accepted('accepts a mount and leaves readOnly open', mount(mountSpec), {
    'spec.readOnly': undefined,
    'status.observedGeneration': -1,
  }),
  accepted(
    'accepts a mount with every field',
    mount({ ...mountSpec, readOnly: true, nodeName: 'a', hostPath: '/srv/t' }),
  ),
  accepted('accepts a workload named like a pod', mount({ ...mountSpec, workloadId: 'pod/default/web-0:main@1' })),

  refused(
    'refuses a mount without a volume',
    mount({ workloadId: 'w', mountPath: '/d' }),
    'spec.volumeRef',
    'Required value',
  ),
  refused(
    'refuses a mount without a volume name',
    mount({ ...mountSpec, volumeRef: {} }),
    'spec.volumeRef.name',
    'Required value',
  ),
  refused(
    'refuses a mount without a workload',
    mount({ volumeRef: { name: 'a' }, mountPath: '/d' }),
    'spec.workloadId',
    'Required value',
  ),
  refused(
    'refuses a mount without a mount path',
    mount({ volumeRef: { name: 'a' }, workloadId: 'w' }),
    'spec.mountPath',
    'Required value',
  ),
  refused(
    'refuses traversal in a volume name',
    mount({ ...mountSpec, volumeRef: { name: '../a' } }),
    'spec.volumeRef.name',
    PATTERN,
  ),
  refused(
    'refuses a volume of another namespace',
    mount({ ...mountSpec, volumeRef: { name: 'a', namespace: 'b' } }),
    'spec.volumeRef.namespace',
    'unknown field',
  ),
  refused(
    'refuses a workload with a line feed',
    mount({ ...mountSpec, workloadId: 'a\nb' }),
    'spec.workloadId',
    PATTERN,
  ),
  refused(
    'refuses an empty workload',
    mount({ ...mountSpec, workloadId: '' }),
    'spec.workloadId',
    'at least 1 chars long',
  ),
  refused(
    'refuses a relative mount path',
    mount({ ...mountSpec, mountPath: 'data' }),
    'spec.mountPath',
    'must be an absolute path',
  ),
  refused(
    'refuses .. in a mount path',
    mount({ ...mountSpec, mountPath: '/a/../b' }),
    'spec.mountPath',
    "must not contain '..'",
  ),
  refused(
    'refuses the root as mount path',
    mount({ ...mountSpec, mountPath: '//./' }),
    'spec.mountPath',
    'must not be the root of the workload',
  ),
  refused(
    'refuses a relative host path',
    mount({ ...mountSpec, hostPath: 'srv' }),
    'spec.hostPath',
    'must be an absolute path',
  ),
  refused(
    'refuses .. in a host path',
    mount({ ...mountSpec, hostPath: '/srv/..' }),
    'spec.hostPath',
    "must not contain '..'",
  ),
  refused(
    'refuses the root as host path',
    mount({ ...mountSpec, hostPath: '/' }),
    'spec.hostPath',
    'must not be the root of the host',
  ),
  refused(
    'refuses readOnly that is a string',
    mount({ ...mountSpec, readOnly: 'yes' }),
    'spec.readOnly',
    'must be of type boolean',
  ),
  refused(
    'refuses a mount name of 129 characters',
    mount(mountSpec, 'm'.repeat(129)),
    'metadata.name',
    'may not be more than 128',
  ),

  update('lets the mount path change', mount(mountSpec), { ...mountSpec, mountPath: '/other' }),
  update(
    'refuses another volume',
    mount(mountSpec),
    { ...mountSpec, volumeRef: { name: 'b' } },
    { field: 'spec.volumeRef', message: IMMUTABLE },
  ),
  update(
    'refuses another workload',
    mount(mountSpec),
    { ...mountSpec, workloadId: 'w2' },
    { field: 'spec.workloadId', message: IMMUTABLE },
  ),
  update(
    'refuses another readOnly',
    mount(mountSpec),
    { ...mountSpec, readOnly: true },
    { field: 'spec.readOnly', message: IMMUTABLE },
  ),
  update(
    'refuses another node for a mount',
    mount({ ...mountSpec, nodeName: 'a' }),
    { ...mountSpec, nodeName: 'b' },
    { field: 'spec.nodeName', message: IMMUTABLE },
  ),
  update(
    'refuses another host path',
    mount({ ...mountSpec, hostPath: '/srv/a' }),
    { ...mountSpec, hostPath: '/srv/b' },
    { field: 'spec.hostPath', message: IMMUTABLE },
  ),
];

const classes: readonly AdmissionCase[] = [
  accepted(
    'accepts a class with every field',
    volumeClass({
      allowedNamespaces: {
        matchLabels: { team: 'a' },
        matchExpressions: [{ key: 'env', operator: 'In', values: ['dev'] }],
      },
      allowedTypes: ['emptyDir', 'hostPath', 'nfs'],
      allowedHostPathPrefixes: ['/data', '/srv'],
      allowedNfsServers: ['files.example', '*.storage.example', '192.0.2.7', '2001:db8::7'],
      allowedMountOptions: ['suid', 'uid=*'],
      defaults: { pool: 'fast', provisioning: 'Thick', reclaimPolicy: 'Retain', mountOptions: ['noatime'] },
    }),
  ),
  accepted('accepts a class that only names types', volumeClass({ allowedTypes: ['emptyDir'] }), {
    'spec.defaults': undefined,
    'spec.allowedNamespaces': undefined,
  }),
  refused(
    'refuses a class that allows no type',
    volumeClass({ allowedTypes: [] }),
    'spec.allowedTypes',
    'at least 1 items',
  ),
  refused('refuses a class without types', volumeClass({}), 'spec.allowedTypes', 'Required value'),
  refused(
    'refuses an unknown type',
    volumeClass({ allowedTypes: ['iscsi'] }),
    'spec.allowedTypes[0]',
    'Unsupported value',
  ),
  refused(
    'refuses a type named twice',
    volumeClass({ allowedTypes: ['emptyDir', 'emptyDir'] }),
    'spec.allowedTypes[1]',
    'Duplicate value',
  ),
  refused(
    'refuses the root as prefix',
    volumeClass({ allowedTypes: ['hostPath'], allowedHostPathPrefixes: ['/data', '/'] }),
    'spec.allowedHostPathPrefixes[1]',
    'must not be the root of the host',
  ),
  refused(
    'refuses a relative prefix',
    volumeClass({ allowedTypes: ['hostPath'], allowedHostPathPrefixes: ['data'] }),
    'spec.allowedHostPathPrefixes[0]',
    'must be an absolute path',
  ),
  accepted('accepts a class for any NFS server', volumeClass({ allowedTypes: ['nfs'], allowedNfsServers: ['*'] })),
  ...['*example', 'a.*', 'a/24'].map((entry) =>
    refused(
      `refuses the server pattern "${entry}"`,
      volumeClass({ allowedTypes: ['nfs'], allowedNfsServers: [entry] }),
      'spec.allowedNfsServers[0]',
      PATTERN,
    ),
  ),
  accepted(
    'accepts a class for S3 servers',
    volumeClass({
      allowedTypes: ['s3'],
      allowedS3Endpoints: ['*', 'aws', 'https://s3.example.com'],
      allowedS3Buckets: ['*', 'team-*', 'data'],
      allowAmbientCredentials: true,
      defaults: { s3: { endpoint: 'https://s3.example.com', region: 'eu', credentialsSecretRef: { name: 'keys' } } },
    }),
  ),
  refused(
    'refuses an endpoint with a path in a class',
    volumeClass({ allowedTypes: ['s3'], allowedS3Endpoints: ['https://a/b'] }),
    'spec.allowedS3Endpoints[0]',
    PATTERN,
  ),
  refused(
    'refuses a bucket pattern with a star in the middle',
    volumeClass({ allowedTypes: ['s3'], allowedS3Buckets: ['a*b'] }),
    'spec.allowedS3Buckets[0]',
    PATTERN,
  ),
  refused(
    'refuses an unknown provisioning',
    volumeClass({ allowedTypes: ['emptyDir'], defaults: { provisioning: 'Fat' } }),
    'spec.defaults.provisioning',
    'Unsupported value',
  ),
  refused(
    'refuses a pool that is no label',
    volumeClass({ allowedTypes: ['emptyDir'], defaults: { pool: 'a/b' } }),
    'spec.defaults.pool',
    PATTERN,
  ),
  refused(
    'refuses In without values',
    volumeClass({
      allowedTypes: ['emptyDir'],
      allowedNamespaces: { matchExpressions: [{ key: 'a', operator: 'In' }] },
    }),
    'spec.allowedNamespaces.matchExpressions[0].values',
    'values must be set for In and NotIn',
  ),
];

const nodes: readonly AdmissionCase[] = [
  accepted('accepts a node without a spec', object('StorageNode', undefined), { 'status.observedGeneration': -1 }),
  accepted('accepts a node that takes nothing new', object('StorageNode', { unschedulable: true })),
  refused('refuses an unknown field of a node', object('StorageNode', { a: 1 }), 'spec.a', 'unknown field'),
];

const snapshotSpec = { volumeRef: { name: 'data' } };
const snapshot = (spec: unknown, name?: string): AdmissionObject => object('Snapshot', spec, name);
const snapshotUpdate = (name: string, spec: unknown, field: string): AdmissionCase => {
  const before = snapshot({ ...snapshotSpec, consistency: 'Crash', freezeTimeout: '5s' });
  return { name, before, object: snapshot(spec, before.metadata.name), refused: { field, message: 'immutable' } };
};

const snapshots: readonly AdmissionCase[] = [
  accepted('accepts the smallest snapshot, and fills in nothing', snapshot(snapshotSpec), {
    'spec.consistency': undefined,
    'spec.freezeTimeout': undefined,
    'spec.ttl': undefined,
    'spec.deletionPolicy': undefined,
    'status.observedGeneration': -1,
  }),
  accepted(
    'accepts a snapshot with everything',
    snapshot({
      ...snapshotSpec,
      consistency: 'Filesystem',
      freezeTimeout: '500ms',
      ttl: '72h',
      deletionPolicy: 'Retain',
    }),
  ),
  refused('refuses a snapshot of nothing', snapshot({}), 'spec.volumeRef', 'Required value'),
  refused(
    'refuses an unknown consistency',
    snapshot({ ...snapshotSpec, consistency: 'App' }),
    'spec.consistency',
    'Crash',
  ),
  refused(
    'refuses to hold writers for more than a minute',
    snapshot({ ...snapshotSpec, freezeTimeout: '61s' }),
    'spec.freezeTimeout',
    'must be more than 0 and at most 60s',
  ),
  refused(
    'refuses to hold writers for no time',
    snapshot({ ...snapshotSpec, freezeTimeout: '0ms' }),
    'spec.freezeTimeout',
    'must be more than 0 and at most 60s',
  ),
  refused(
    'refuses a freezeTimeout without a unit',
    snapshot({ ...snapshotSpec, freezeTimeout: '10' }),
    'spec.freezeTimeout',
    PATTERN,
  ),
  refused(
    'refuses to hold writers for longer than can be counted',
    snapshot({ ...snapshotSpec, freezeTimeout: '9999999999s' }),
    'spec.freezeTimeout',
    PATTERN,
  ),
  refused(
    'refuses a ttl of less than a minute',
    snapshot({ ...snapshotSpec, ttl: '59s' }),
    'spec.ttl',
    'must be between 1m and 876000h',
  ),
  refused(
    'refuses a ttl of nothing in many digits',
    snapshot({ ...snapshotSpec, ttl: '0000000000s' }),
    'spec.ttl',
    PATTERN,
  ),
  snapshotUpdate(
    'keeps the volume of a snapshot',
    { volumeRef: { name: 'other' }, consistency: 'Crash', freezeTimeout: '5s' },
    'spec.volumeRef',
  ),
  snapshotUpdate('keeps the consistency of a snapshot', { ...snapshotSpec, freezeTimeout: '5s' }, 'spec.consistency'),
  snapshotUpdate(
    'keeps the freezeTimeout of a snapshot',
    { ...snapshotSpec, consistency: 'Crash', freezeTimeout: '6s' },
    'spec.freezeTimeout',
  ),
  accepted(
    'accepts a volume that starts from a snapshot',
    volume({ emptyDir: {}, dataSource: { snapshotRef: { name: 'a' } } }),
  ),
  accepted(
    'accepts a volume that starts as a copy of another',
    volume({ emptyDir: {}, dataSource: { volumeRef: { name: 'a' } } }),
  ),
  refused(
    'refuses a volume that starts from two things',
    volume({ emptyDir: {}, dataSource: { volumeRef: { name: 'a' }, snapshotRef: { name: 'a' } } }),
    'spec.dataSource',
    'exactly one of snapshotRef, volumeRef and backupRef must be set',
  ),
  refused(
    'refuses a volume that starts from nothing named',
    volume({ emptyDir: {}, dataSource: {} }),
    'spec.dataSource',
    'exactly one of snapshotRef, volumeRef and backupRef must be set',
  ),
  {
    name: 'keeps the dataSource of a volume',
    before: volume({ emptyDir: {}, dataSource: { volumeRef: { name: 'a' } } }, 'case-data-source'),
    object: volume({ emptyDir: {}, dataSource: { volumeRef: { name: 'b' } } }, 'case-data-source'),
    refused: { field: 'spec.dataSource', message: 'immutable' },
  },
];

const schedule = (spec: unknown, name?: string): AdmissionObject => object('SnapshotSchedule', spec, name);
const scheduleSpec = { schedule: '0 2 * * *', template: { spec: snapshotSpec } };
const scheduleWith = (change: object): AdmissionObject => schedule({ ...scheduleSpec, ...change });

const schedules: readonly AdmissionCase[] = [
  accepted('accepts the smallest schedule of snapshots', schedule(scheduleSpec), {
    'spec.concurrencyPolicy': 'Forbid',
    'spec.failedHistoryLimit': 1,
    'spec.timeZone': undefined,
    'spec.template.spec.consistency': undefined,
    'status.observedGeneration': -1,
  }),
  accepted(
    'accepts a schedule of snapshots with everything',
    schedule({
      schedule: '*/15 8-18 1,15,L jan-dec MON-FRI',
      timeZone: 'America/Argentina/Buenos_Aires',
      jitter: '10m',
      suspend: true,
      concurrencyPolicy: 'Replace',
      startingDeadlineSeconds: 600,
      template: {
        metadata: { labels: { team: 'ml' }, annotations: { 'example.com/why': 'nightly' } },
        spec: { ...snapshotSpec, consistency: 'Crash', freezeTimeout: '5s', ttl: '72h', deletionPolicy: 'Delete' },
      },
      retention: { last: 1, hourly: 2, daily: 3, weekly: 4, monthly: 5, yearly: 6 },
      failedHistoryLimit: 0,
    }),
  ),
  ...['@hourly', '@daily', '@midnight', '@weekly', '@monthly', '@yearly', '@annually'].map((word) =>
    accepted(`accepts the schedule ${word}`, scheduleWith({ schedule: word })),
  ),
  ...[
    '',
    '@reboot',
    '* * * *',
    '* * * * * *',
    'TZ=UTC 0 2 * * *',
    '2026-01-01T00:00:00',
    '0 2 * * ?',
    ' 0 2 * * *',
  ].map((text) =>
    refused(`refuses the schedule "${text}"`, scheduleWith({ schedule: text }), 'spec.schedule', PATTERN),
  ),
  ...['', '+01:00', '../etc/localtime', '/UTC', 'Europe/'].map((timeZone) =>
    refused(`refuses the time zone "${timeZone}"`, scheduleWith({ timeZone }), 'spec.timeZone', PATTERN),
  ),
  refused(
    'refuses a schedule without a time',
    schedule({ template: { spec: snapshotSpec } }),
    'spec.schedule',
    'Required value',
  ),
  refused('refuses a schedule of nothing', schedule({ schedule: '@daily' }), 'spec.template', 'Required value'),
  refused(
    'refuses a schedule of snapshots of nothing',
    scheduleWith({ template: { spec: {} } }),
    'spec.template.spec.volumeRef',
    'Required value',
  ),
  refused(
    'refuses an unknown policy',
    scheduleWith({ concurrencyPolicy: 'Queue' }),
    'spec.concurrencyPolicy',
    'Unsupported value',
  ),
  refused('refuses a jitter of more than a day', scheduleWith({ jitter: '25h' }), 'spec.jitter', 'must be at most 24h'),
  refused('refuses a jitter that can never pass', scheduleWith({ jitter: '9999999999h' }), 'spec.jitter', PATTERN),
  refused(
    'refuses a ttl of too many digits in a template',
    scheduleWith({ template: { spec: { ...snapshotSpec, ttl: '0000000000s' } } }),
    'spec.template.spec.ttl',
    PATTERN,
  ),
  refused('refuses a jitter without a unit', scheduleWith({ jitter: '10' }), 'spec.jitter', PATTERN),
  refused(
    'refuses a deadline that nothing can meet',
    scheduleWith({ startingDeadlineSeconds: 9 }),
    'spec.startingDeadlineSeconds',
    'greater than or equal to 10',
  ),
  refused(
    'refuses a retention that keeps nothing',
    scheduleWith({ retention: {} }),
    'spec.retention',
    'at least one of last',
  ),
  refused(
    'refuses a retention of none',
    scheduleWith({ retention: { daily: 0 } }),
    'spec.retention.daily',
    'greater than or equal to 1',
  ),
  refused(
    'refuses an unknown rule of retention',
    scheduleWith({ retention: { minutely: 1 } }),
    'spec.retention.minutely',
    'unknown field',
  ),
  refused(
    'refuses our own labels in a template',
    scheduleWith({
      template: { metadata: { labels: { 'storage.clawbernetes.io/schedule': 'other' } }, spec: snapshotSpec },
    }),
    'spec.template.metadata.labels',
    'must not have keys of storage.clawbernetes.io',
  ),
  refused(
    'refuses our own annotations in a template',
    scheduleWith({
      template: { metadata: { annotations: { 'storage.clawbernetes.io/paused': 'true' } }, spec: snapshotSpec },
    }),
    'spec.template.metadata.annotations',
    'must not have keys of storage.clawbernetes.io',
  ),
  refused(
    'refuses a bad ttl in a template',
    scheduleWith({ template: { spec: { ...snapshotSpec, ttl: '1s' } } }),
    'spec.template.spec.ttl',
    'must be between 1m and 876000h',
  ),
  refused(
    'refuses a name that leaves no room for the time of a run',
    schedule(scheduleSpec, `s${'x'.repeat(50)}`),
    'metadata.name',
    'may not be more than 50',
  ),
];

const restore = (spec: unknown, name?: string): AdmissionObject => object('Restore', spec, name);
const restoreSpec = { source: { snapshotRef: { name: 'before' } } };

const restores: readonly AdmissionCase[] = [
  accepted('accepts a restore, with a safety snapshot unless it says otherwise', restore(restoreSpec), {
    'spec.safetySnapshot': true,
    'status.observedGeneration': -1,
  }),
  refused('refuses a restore of nothing', restore({ source: {} }), 'spec.source', 'exactly one of snapshotRef'),
  refused(
    'refuses the name of a restore that leaves no room for its safety snapshot',
    restore(restoreSpec, `r${'x'.repeat(56)}`),
    'metadata.name',
    'may not be more than 56',
  ),
  {
    name: 'keeps the spec of a restore',
    before: restore(restoreSpec, 'case-restore'),
    object: restore({ ...restoreSpec, safetySnapshot: false }, 'case-restore'),
    refused: { field: 'spec', message: 'immutable' },
  },
];

/** Every case. Names of cases and of objects are unique. */
export const ADMISSION_CASES: readonly AdmissionCase[] = [
  ...volumes,
  ...volumeUpdates,
  ...mounts,
  ...classes,
  ...nodes,
  ...snapshots,
  ...schedules,
  ...restores,
  ...RESTORE_CASES,
  ...BACKUP_CASES,
  ...BACKUP_REPOSITORY_CASES,
  ...BACKUP_SCHEDULE_CASES,
];
