/**
 * What the agent of node n1 may do and what not, among the objects that `fill` makes: one table for the embedded control
 * plane, whose own code decides, and for a real API server, where RBAC, admission policies and the controller's grants do.
 */
import { type Ask, type Client, CORE, DEFAULT, fill, LEASES, OURS } from '../../apiserver/access/support.ts';

export interface AccessCase {
  readonly name: string;
  readonly path: string;
  readonly ask?: Ask;
  readonly isAllowed: boolean;
  /** Where a real API server decides otherwise: RBAC knows no objects, only names. Said in docs/security.md. */
  readonly onReal?: boolean;
}

const GROUP = 'storage.clawbernetes.io';
const apiVersion = `${GROUP}/v1alpha1`;
const MERGE = 'application/merge-patch+json';

const read = (path: string): AccessCase => ({ name: `reads ${path}`, path, isAllowed: true });
const blind = (path: string): AccessCase => ({ name: `does not read ${path}`, path, isAllowed: false });
/** Objects of our kinds hold no secrets, and who may watch a kind on a real server may watch it everywhere. */
const blindOnEmbedded = (path: string): AccessCase => ({ ...blind(path), onReal: true });

const dry = (path: string): string => `${path}${path.includes('?') ? '&' : '?'}dryRun=All`;
function patch(isAllowed: boolean, what: string, path: string, body: object): AccessCase {
  return { name: what, path: dry(path), ask: { method: 'PATCH', type: MERGE, body }, isAllowed };
}
const may = (what: string, path: string, body: object): AccessCase => patch(true, `may ${what}`, path, body);
const mayNot = (what: string, path: string, body: object): AccessCase => patch(false, `may not ${what}`, path, body);
function post(isAllowed: boolean, what: string, path: string, body: object): AccessCase {
  return { name: what, path: dry(path), ask: { method: 'POST', body }, isAllowed };
}

const event = (host: string, about: object, name = 'e'): object => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name, namespace: 'default' },
  involvedObject: { namespace: 'default', ...about },
  source: { component: 'clawstore-agent', host },
  reportingComponent: 'clawstore-agent',
  reportingInstance: host,
  type: 'Normal',
  reason: 'Tested',
  message: 'm',
});
const aboutVolume = (name: string): object => ({ apiVersion, kind: 'Volume', name });
const backup = (spec: object, metadata: object = {}): object => ({
  apiVersion,
  kind: 'Backup',
  metadata: { name: 'found', ...metadata },
  spec,
});
const found = { imported: { backupID: 'a-0123456789' }, repositoryRef: { name: 'mine' } };
const storageNode = (name: string, labels: object): object => ({
  apiVersion,
  kind: 'StorageNode',
  metadata: { name, labels },
});
const lease = (name: string): object => ({
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  metadata: { name, namespace: 'clawstore-system' },
});

const mine = `${DEFAULT}/volumes/mine`;
const own = 'fieldSelector=status.nodeName%3Dn1';

const KINDS = [
  'volumes',
  'volumemounts',
  'snapshots',
  'backuprepositories',
  'backups',
  'volumebackups',
  'restores',
  'volumerestores',
];

/** Objects that a node n1 and a node n2 have of every kind, called `mine` and `other`. */
export const CASES: readonly AccessCase[] = [
  ...KINDS.map((kind) => read(`${OURS}/${kind}?${own}`)),
  read(`${OURS}/volumes?${own}&watch=1&timeoutSeconds=1`),
  read(mine),
  read(`${DEFAULT}/volumes/shared`),
  read(`${DEFAULT}/volumes?fieldSelector=metadata.name%3Dshared`),
  read(`${OURS}/volumeclasses`),
  read(`${OURS}/storagenodes?fieldSelector=metadata.name%3Dn1`),
  read('/api/v1/namespaces'),
  read(`${LEASES}/node-n1`),
  read('/version'),
  ...['of-mine', 'of-shared', 'of-class', 'of-moment', 'key-mine', 'key-of-work', 'key-of-restore'].map((name) =>
    read(`${CORE}/secrets/${name}`),
  ),
  read(`${CORE}/secrets/going-in`),
  read(`${CORE}/secrets/coming-out`),
  read(`${CORE}/configmaps/ca-mine`),
  read(`${CORE}/secrets?fieldSelector=metadata.name%3Dof-mine`),
  read(`${CORE}/secrets?fieldSelector=metadata.name%3Dof-mine&watch=1&timeoutSeconds=1`),

  blind('/api/v1/secrets'),
  blind(`${CORE}/secrets`),
  blind(`${CORE}/secrets?watch=1&timeoutSeconds=1`),
  blind('/api/v1/secrets?fieldSelector=metadata.name%3Dof-mine'),
  blind(`${CORE}/secrets/of-other`),
  blind(`${CORE}/secrets/key-other`),
  blind(`${CORE}/secrets/unused`),
  blind(`${CORE}/secrets/absent`),
  blind(`${CORE}/secrets?fieldSelector=metadata.name%3Dof-other`),
  blind('/api/v1/namespaces/elsewhere/secrets/of-mine'),
  blind(`${CORE}/configmaps`),
  blind(`${CORE}/configmaps/ca-other`),
  blind(`${CORE}/events`),
  blind(`${OURS}/snapshotschedules`),
  blind(`${OURS}/backupschedules`),
  blind(LEASES),
  blind('/metrics'),
  blindOnEmbedded(`${LEASES}/node-n2`),
  blindOnEmbedded(`${LEASES}/clawstore-controller`),
  blindOnEmbedded(`${OURS}/volumes`),
  blindOnEmbedded(`${OURS}/volumes?fieldSelector=status.nodeName%3Dn2`),
  blindOnEmbedded(`${DEFAULT}/volumes/other`),
  blindOnEmbedded(`${DEFAULT}/volumemounts/other`),
  blindOnEmbedded(`${OURS}/storagenodes`),

  ...KINDS.map((kind) => may(`write the status of its ${kind}`, `${DEFAULT}/${kind}/mine/status`, { status: {} })),
  ...KINDS.map((kind) =>
    mayNot(`write the status of another node's ${kind}`, `${DEFAULT}/${kind}/other/status`, { status: {} }),
  ),
  ...KINDS.map((kind) =>
    mayNot(`give its ${kind} to another node`, `${DEFAULT}/${kind}/mine/status`, { status: { nodeName: 'n2' } }),
  ),
  ...KINDS.map((kind) =>
    mayNot(`take the node of its ${kind} away`, `${DEFAULT}/${kind}/mine/status`, { status: { nodeName: null } }),
  ),
  ...KINDS.map((kind) =>
    mayNot(`take another node's ${kind}`, `${DEFAULT}/${kind}/other/status`, { status: { nodeName: 'n1' } }),
  ),
  mayNot('write the status of a volume that is only mounted there', `${DEFAULT}/volumes/shared/status`, { status: {} }),
  may('say how large its volume is', `${mine}/status`, { status: { capacity: '1Gi' } }),
  mayNot('grant its volume', `${mine}/status`, {
    status: { attachments: [{ mountUID: 'u', workloadId: 'w', nodeName: 'n1', readOnly: false }] },
  }),
  may('say what its mount is of', `${DEFAULT}/volumemounts/mine/status`, { status: { source: 's' } }),
  mayNot('change what a snapshot is of', `${DEFAULT}/snapshots/mine/status`, {
    status: { source: { volumeName: 'mine', volumeUID: 'another' } },
  }),
  mayNot('name another Secret in its backup', `${DEFAULT}/backups/mine/status`, {
    status: { manifestSecretRefs: [{ name: 'key-other' }] },
  }),
  mayNot('name another Secret in its restore', `${DEFAULT}/restores/mine/status`, {
    status: { manifestSecretRef: { name: 'key-other' } },
  }),
  may('add its finalizer', mine, { metadata: { finalizers: [`${GROUP}/volume`] } }),
  mayNot("add somebody else's finalizer", mine, { metadata: { finalizers: ['kubernetes.io/x'] } }),
  mayNot("touch the finalizers of another node's volume", `${DEFAULT}/volumes/other`, {
    metadata: { finalizers: [`${GROUP}/volume`] },
  }),
  mayNot('change a spec', mine, { spec: { capacity: '9Gi' } }),
  mayNot('change labels', mine, { metadata: { labels: { a: 'b' } } }),
  mayNot('change annotations', mine, { metadata: { annotations: { a: 'b' } } }),
  mayNot('change owners', mine, {
    metadata: { ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'u' }] },
  }),
  ...KINDS.map((kind) => ({
    name: `may not delete its ${kind}`,
    path: dry(`${DEFAULT}/${kind}/mine`),
    ask: { method: 'DELETE' as const },
    isAllowed: false,
  })),
  { name: 'may not delete all volumes', path: dry(`${DEFAULT}/volumes`), ask: { method: 'DELETE' }, isAllowed: false },
  post(false, 'may not create a volume', `${DEFAULT}/volumes`, {
    apiVersion,
    kind: 'Volume',
    metadata: { name: 'new' },
    spec: { emptyDir: {} },
  }),
  {
    name: 'may not apply a new volume',
    path: dry(`${DEFAULT}/volumes/new?fieldManager=x`),
    ask: {
      method: 'PATCH',
      type: 'application/apply-patch+yaml',
      body: { apiVersion, kind: 'Volume', metadata: { name: 'new' }, spec: { emptyDir: {} } },
    },
    isAllowed: false,
  },
  mayNot('change a class', `${OURS}/volumeclasses/default`, { spec: { allowedTypes: ['hostPath'] } }),
  mayNot('change a namespace', '/api/v1/namespaces/default', { metadata: { labels: { a: 'b' } } }),

  may('write its StorageNode', `${OURS}/storagenodes/n1/status`, { status: { free: '1Gi' } }),
  may('label its StorageNode with what it is', `${OURS}/storagenodes/n1`, {
    metadata: { labels: { 'kubernetes.io/hostname': 'n1' } },
  }),
  mayNot('call itself another node', `${OURS}/storagenodes/n1`, {
    metadata: { labels: { 'kubernetes.io/hostname': 'n2' } },
  }),
  mayNot('label its StorageNode otherwise', `${OURS}/storagenodes/n1`, { metadata: { labels: { gpu: 'a' } } }),
  mayNot("write another's StorageNode", `${OURS}/storagenodes/n2/status`, { status: { free: '1Gi' } }),
  mayNot("label another's StorageNode", `${OURS}/storagenodes/n2`, {
    metadata: { labels: { 'kubernetes.io/hostname': 'n1' } },
  }),
  post(false, "may not create another's StorageNode", `${OURS}/storagenodes`, storageNode('n4', {})),
  {
    name: 'may not delete its StorageNode',
    path: dry(`${OURS}/storagenodes/n1`),
    ask: { method: 'DELETE' },
    isAllowed: false,
  },
  may('renew its Lease', `${LEASES}/node-n1`, { spec: { holderIdentity: 'n1', leaseDurationSeconds: 40 } }),
  mayNot("renew another's Lease", `${LEASES}/node-n2`, { spec: { holderIdentity: 'n1' } }),
  mayNot("take the controllers' Lease", `${LEASES}/clawstore-controller`, { spec: { holderIdentity: 'n1' } }),
  post(false, "may not create another's Lease", LEASES, lease('node-n4')),
  post(true, 'may report as itself', `${CORE}/events`, event('n1', aboutVolume('mine'))),
  post(
    true,
    'may report about its node',
    `${CORE}/events`,
    event('n1', { apiVersion, kind: 'StorageNode', name: 'n1' }),
  ),
  post(false, 'may not report as another node', `${CORE}/events`, event('n2', aboutVolume('mine'))),
  {
    ...post(false, "may not report about another node's object", `${CORE}/events`, event('n1', aboutVolume('other'))),
    // Admission cannot look the object up; the Event says which node reports it.
    onReal: true,
  },
  mayNot("change another's report", `${CORE}/events/by-n2`, { message: 'forged' }),
  may('repeat its report', `${CORE}/events/by-n1`, { message: 'again' }),

  may('fill the Secret of its restore', `${CORE}/secrets/coming-out`, { data: { a: 'YQ==' } }),
  ...['of-mine', 'going-in', 'key-other', 'unused', 'absent'].map((name) =>
    mayNot(`fill the Secret ${name}`, `${CORE}/secrets/${name}`, { data: { a: 'YQ==' } }),
  ),
  mayNot('label that Secret', `${CORE}/secrets/coming-out`, { metadata: { labels: { a: 'b' } } }),
  mayNot('make that Secret immutable', `${CORE}/secrets/coming-out`, { immutable: true }),
  post(false, 'may not create Secrets', `${CORE}/secrets`, { metadata: { name: 'x' } }),

  post(true, 'may create a Backup that it found', `${DEFAULT}/backups`, backup(found)),
  post(
    true,
    'may create it with its finalizer',
    `${DEFAULT}/backups`,
    backup(
      { ...found, deletionPolicy: 'Retain' },
      { finalizers: [`${GROUP}/backup`], labels: { [`${GROUP}/repository`]: 'mine' } },
    ),
  ),
  ...Object.entries({
    'that it did not find': backup({ scope: 'Full', repositoryRef: { name: 'mine' } }),
    "in another node's repository": backup({ ...found, repositoryRef: { name: 'other' } }),
    'in no repository': backup({ ...found, repositoryRef: { name: 'absent' } }),
    'whose data would go': backup({ ...found, deletionPolicy: 'Delete' }),
    'that would go by itself': backup({ ...found, ttl: '1h' }),
    'with a foreign finalizer': backup(found, { finalizers: ['kubernetes.io/x'] }),
    'with a foreign label': backup(found, { labels: { app: 'x' } }),
  }).map(([what, body]) => post(false, `may not create a Backup ${what}`, `${DEFAULT}/backups`, body)),

  post(false, 'may not give itself rights', '/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles', {
    metadata: { name: 'x' },
    rules: [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }],
  }),
  post(false, 'may not bind itself to rights', '/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings', {
    metadata: { name: 'x' },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
  }),
  post(false, 'may not become another node', '/api/v1/namespaces/clawstore-nodes/serviceaccounts/n2/token', {
    spec: { expirationSeconds: 3600 },
  }),
];

/** Makes what the cases are about. */
export async function fillForCases(admin: Client): Promise<void> {
  const create = async (path: string, body: object): Promise<void> => {
    const { code, text } = await admin.ask(path, { method: 'POST', body });
    if (code !== 201) throw new Error(`${path}: ${text}`);
  };
  const own = async (resource: string, kind: string, name: string, spec: object, status: object): Promise<void> => {
    await create(`${DEFAULT}/${resource}`, { apiVersion, kind, metadata: { name }, spec });
    const nodeName = name === 'other' ? 'n2' : 'n1';
    const bound = await admin.merge(`${DEFAULT}/${resource}/${name}/status`, { status: { nodeName, ...status } });
    if (bound.code !== 200) throw new Error(`${resource} ${name}: ${bound.text}`);
  };
  const secret = (name: string, namespace = 'default'): Promise<void> =>
    create(`/api/v1/namespaces/${namespace}/secrets`, { apiVersion: 'v1', kind: 'Secret', metadata: { name } });

  await fill(admin);
  await create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'elsewhere' } });
  await secret('of-mine', 'elsewhere');
  for (const name of ['of-class', 'of-moment', 'key-mine', 'key-of-work', 'key-of-restore', 'key-other', 'unused'])
    await secret(name);
  for (const name of ['going-in', 'coming-out']) await secret(name);
  for (const name of ['ca-mine', 'ca-other'])
    await create(`${CORE}/configmaps`, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } });
  for (const name of ['n1', 'n2']) await create(`${CORE}/events`, event(name, aboutVolume('mine'), `by-${name}`));
  await create(LEASES, lease('clawstore-controller'));
  await create(`${OURS}/volumeclasses`, {
    apiVersion,
    kind: 'VolumeClass',
    metadata: { name: 'default' },
    spec: {
      allowedNamespaces: {},
      allowedTypes: ['s3'],
      defaults: { s3: { credentialsSecretRef: { name: 'of-class' } } },
    },
  });
  const encryption = (name: string): object => ({ encryption: { secretRef: { name } } });
  for (const name of ['mine', 'other']) {
    const s3 = { bucket: 'backups', caBundleRef: { name: `ca-${name}`, key: 'ca.crt' } };
    const credentialsSecretRef = { name: name === 'mine' ? 'of-moment' : 'of-other' };
    const volumeSpec = { s3: { bucket: 'b-bucket', credentialsSecretRef } };
    const source = { volumeName: name, volumeUID: 'uid', volumeSpec };
    await own('snapshots', 'Snapshot', name, { volumeRef: { name } }, { source });
    await own('backuprepositories', 'BackupRepository', name, { s3, ...encryption(`key-${name}`) }, {});
    const keyOf = (work: string): object => ({ s3, ...encryption(name === 'mine' ? `key-of-${work}` : 'key-other') });
    const work = {
      backupRef: { name },
      backupID: 'b-0123456789',
      clusterID: 'c',
      scope: 'Full',
      repository: keyOf('work'),
      volumeRef: { name },
      volumeUID: 'uid',
      onPartial: 'Fail',
      priority: 0,
      deadline: '2026-01-01T00:00:00Z',
    };
    await own('volumebackups', 'VolumeBackup', name, work, {});
    const back = {
      repository: keyOf('restore'),
      backupID: 'b-0123456789',
      snapshotID: 's',
      from: { namespace: 'default', name },
      volumeRef: { name },
      volumeUID: 'uid',
      mode: 'New',
      existingFiles: 'Overwrite',
    };
    await own('volumerestores', 'VolumeRestore', name, back, {});
    const goingIn = name === 'mine' ? { manifestSecretRefs: [{ name: 'going-in' }] } : {};
    await own('backups', 'Backup', name, { scope: 'Configs', destination: '/srv/backups' }, goingIn);
    const comingOut = name === 'mine' ? { manifestSecretRef: { name: 'coming-out' } } : {};
    await own('restores', 'Restore', name, { source: { backupRef: { name } } }, comingOut);
  }
}
