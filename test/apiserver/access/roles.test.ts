import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { type Ask, type Client, CORE, DEFAULT, LEASES, OURS, SECRET, SECRET_BASE64, World } from './support.ts';

const REVIEW = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
const GROUP = 'storage.clawbernetes.io';
const apiVersion = `${GROUP}/v1alpha1`;
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io';
const METADATA = 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io';

const event = (host: string, about: object, name = 'e'): object => ({
  apiVersion: 'v1',
  kind: 'Event',
  metadata: { name, namespace: 'default' },
  involvedObject: about,
  source: { component: 'clawstore-agent', host },
  reportingComponent: 'clawstore-agent',
  reportingInstance: host,
  type: 'Normal',
  reason: 'Tested',
  message: 'm',
});
const aboutVolume = (name: string): object => ({ apiVersion, kind: 'Volume', namespace: 'default', name });

describe('roles', function () {
  this.timeout(120_000);
  let world: World;
  let viewer: Client;
  let node: Client;
  let controller: Client;
  before(async () => {
    world = await World.start();
    await world.fill();
    viewer = world.byToken('viewer', 'vera');
    node = await world.byCertificate('node', 'n1');
    controller = world.byToken('controller', 'c');
  });
  after(() => world.end());

  describe('viewer', () => {
    it('sees everything but Secrets', async () => {
      for (const path of [
        `${OURS}/volumes`,
        `${DEFAULT}/volumes/mine`,
        `${DEFAULT}/volumes/mine/status`,
        `${OURS}/storagenodes`,
        '/api/v1/namespaces',
        `${CORE}/configmaps`,
        `${CORE}/events`,
        LEASES,
        '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
        '/metrics',
        '/version',
        '/openapi/v3',
      ]) {
        expect((await viewer.ask(path)).code, path).to.equal(200);
      }
    });

    it('sees Secrets in no form', async () => {
      const path = `${CORE}/secrets`;
      const attempts: readonly (readonly [string, Ask?])[] = [
        [path],
        ['/api/v1/secrets'],
        [`${path}/of-mine`],
        [`${path}/absent`],
        [`${path}?watch=1&timeoutSeconds=1`],
        [`/api/v1/secrets?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1`],
        [`${path}?fieldSelector=metadata.name%3Dof-mine`],
        [`${path}?limit=1`],
        [path, { headers: { accept: TABLE } }],
        [`${path}?includeObject=Object`, { headers: { accept: TABLE } }],
        [path, { headers: { accept: METADATA } }],
        [`${path}/of-mine`, { headers: { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' } }],
        [`${path}/of-mine`, { headers: { accept: 'application/yaml' } }],
        [`${path}?dryRun=All`, { method: 'POST', body: { metadata: { name: 'of-mine' } } }],
        [`${path}/of-mine?dryRun=All`, { method: 'PUT', body: { metadata: { name: 'of-mine' } } }],
        [`${path}/of-mine?dryRun=All`, { method: 'DELETE' }],
        [`${path}?dryRun=All`, { method: 'DELETE' }],
        ...['application/merge-patch+json', 'application/json-patch+json', 'application/apply-patch+yaml'].map(
          (type) =>
            [
              `${path}/of-mine?dryRun=All&fieldManager=x`,
              {
                method: 'PATCH',
                type,
                body: type.includes('json-patch') ? [{ op: 'test', path: '/type', value: 'x' }] : { type: 'x' },
              },
            ] as const,
        ),
      ];
      for (const [target, ask] of attempts) {
        const { code, text } = await viewer.ask(target, ask ?? {});
        expect(code, `${ask?.method ?? 'GET'} ${target}`).to.equal(403);
        expect(text).to.not.include(SECRET).and.not.include(SECRET_BASE64);
      }
    });

    it('sees no Secret in anything else', async () => {
      for (const path of ['/', '/apis', '/openapi/v2', '/metrics', `${OURS}/volumes`, `${CORE}/events`]) {
        expect((await viewer.ask(path)).text, path)
          .to.not.include(SECRET)
          .and.not.include(SECRET_BASE64);
      }
    });

    it('changes nothing', async () => {
      expect((await viewer.merge(`${DEFAULT}/volumes/mine`, { metadata: { labels: { a: 'b' } } })).code).to.equal(403);
      expect((await viewer.ask(`${DEFAULT}/volumes/mine`, { method: 'DELETE' })).code).to.equal(403);
      expect((await viewer.ask(`${DEFAULT}/volumes`, { method: 'DELETE' })).code).to.equal(403);
      const refused = await viewer.ask('/api/v1/namespaces', { method: 'POST', body: { metadata: { name: 'x' } } });
      expect(refused.body.message).to.equal(
        'namespaces is forbidden: User "vera" cannot create resource "namespaces" in API group "" at the cluster scope',
      );
    });
  });

  describe('node', () => {
    it('reads what its node needs', async () => {
      const mine = 'fieldSelector=status.nodeName%3Dn1';
      for (const path of [
        `${OURS}/volumes?${mine}`,
        `${OURS}/volumemounts?${mine}`,
        `${DEFAULT}/volumemounts?${mine}%2Cspec.volumeRef.name%3Dshared`,
        `${DEFAULT}/snapshots?${mine}%2Cspec.volumeRef.name%3Dmine`,
        `${OURS}/volumes?${mine}&watch=1&timeoutSeconds=1`,
        `${DEFAULT}/volumes/mine`,
        `${DEFAULT}/volumes/shared`,
        `${DEFAULT}/volumes?fieldSelector=metadata.name%3Dshared`,
        `${OURS}/volumeclasses`,
        `${OURS}/storagenodes?fieldSelector=metadata.name%3Dn1`,
        '/api/v1/namespaces',
        `${CORE}/secrets/of-mine`,
        `${CORE}/secrets/of-shared`,
        `${CORE}/secrets?fieldSelector=metadata.name%3Dof-mine&watch=1&timeoutSeconds=1`,
        `${LEASES}/node-n1`,
        '/version',
      ]) {
        expect((await node.ask(path)).code, path).to.equal(200);
      }
      const { body } = await node.ask(`${OURS}/volumes?${mine}`);
      expect((body['items'] as { metadata: { name: string } }[]).map(({ metadata }) => metadata.name)).to.deep.equal([
        'mine',
      ]);
      expect((await node.ask(`${DEFAULT}/volumes/absent`)).code).to.equal(404);
    });

    it('reads the Secret that the class of its volume names', async () => {
      const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'of-class' } };
      await world.admin.ask(`${CORE}/secrets`, { method: 'POST', body: secret });
      expect((await node.ask(`${CORE}/secrets/of-class`)).code).to.equal(403);
      const spec = {
        allowedNamespaces: {},
        allowedTypes: ['s3'],
        defaults: { s3: { credentialsSecretRef: { name: 'of-class' } } },
      };
      const body = { apiVersion, kind: 'VolumeClass', metadata: { name: 'default' }, spec };
      const made = await world.admin.ask(`${OURS}/volumeclasses`, { method: 'POST', body });
      expect(made.code, made.text).to.equal(201);
      expect((await node.ask(`${CORE}/secrets/of-class`)).code).to.equal(200);
      await world.admin.ask(`${OURS}/volumeclasses/default`, { method: 'DELETE' });
    });

    it("reads nothing that is another node's", async () => {
      for (const path of [
        `${OURS}/volumes`,
        `${DEFAULT}/volumemounts`,
        `${OURS}/volumes?watch=1&timeoutSeconds=1`,
        `${OURS}/volumes?fieldSelector=status.nodeName%3Dn2`,
        `${OURS}/volumes?fieldSelector=status.nodeName%21%3Dn2`,
        `${DEFAULT}/volumes/other`,
        `${DEFAULT}/volumes?fieldSelector=metadata.name%3Dother`,
        `${DEFAULT}/volumes?fieldSelector=metadata.name%3Dabsent&watch=1`,
        `${DEFAULT}/volumemounts/other`,
        `${OURS}/storagenodes`,
        `${OURS}/storagenodes/n2`,
        `${CORE}/secrets`,
        '/api/v1/secrets',
        `${CORE}/secrets/of-other`,
        `${CORE}/secrets/absent`,
        '/api/v1/secrets?fieldSelector=metadata.name%3Dof-mine',
        `${CORE}/configmaps`,
        `${CORE}/events`,
        LEASES,
        `${LEASES}/node-n2`,
        `${LEASES}/clawstore-controller`,
        '/metrics',
      ]) {
        const { code, text } = await node.ask(path);
        expect(code, path).to.equal(403);
        expect(text).to.not.include(SECRET).and.not.include(SECRET_BASE64);
      }
    });

    const refused = async (client: Client, path: string, body: unknown, why: string): Promise<void> => {
      const { code, body: answer } = await client.merge(path, body);
      expect(code, `${path} ${JSON.stringify(body)}`).to.equal(403);
      expect(answer.message).to.include(why);
    };

    it("writes the status and the finalizers of its own node's objects", async () => {
      const finalizers = [`${GROUP}/volume`];
      expect((await node.merge(`${DEFAULT}/volumes/mine/status`, { status: { capacity: '1Gi' } })).code).to.equal(200);
      expect((await node.merge(`${DEFAULT}/volumemounts/here/status`, { status: { source: 's' } })).code).to.equal(200);
      expect((await node.merge(`${DEFAULT}/volumes/mine`, { metadata: { finalizers } })).code).to.equal(200);
      expect((await node.merge(`${DEFAULT}/volumes/mine`, { metadata: { finalizers: null } })).code).to.equal(200);
      const applied = await node.ask(`${DEFAULT}/volumes/mine/status?fieldManager=clawstore-agent&force=true`, {
        method: 'PATCH',
        type: 'application/apply-patch+yaml',
        body: { apiVersion, kind: 'Volume', metadata: { name: 'mine' }, status: { capacity: '2Gi' } },
      });
      expect(applied.code, applied.text).to.equal(200);
      const heartbeat = { spec: { holderIdentity: 'n1', leaseDurationSeconds: 40 } };
      expect((await node.merge(`${LEASES}/node-n1`, heartbeat)).code).to.equal(200);
      const status = { status: { free: '1Gi' } };
      expect((await node.merge(`${OURS}/storagenodes/n1/status?fieldValidation=Ignore`, status)).code).to.equal(200);
    });

    it('changes nothing else of them', async () => {
      const volume = `${DEFAULT}/volumes/mine`;
      await refused(node, volume, { spec: { capacity: '9Gi' } }, 'node "n1" may not change spec');
      await refused(node, volume, { metadata: { labels: { a: 'b' } } }, 'may not change metadata.labels');
      await refused(node, volume, { metadata: { annotations: { a: 'b' } } }, 'may not change metadata.annotations');
      await refused(node, volume, { metadata: { finalizers: ['kubernetes.io/x'] } }, 'the finalizer kubernetes.io/x');
      const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'x', uid: 'u' };
      await refused(
        node,
        volume,
        { metadata: { ownerReferences: [owner] } },
        'may not change metadata.ownerReferences',
      );
      await refused(node, `${volume}/status`, { status: { nodeName: 'n2' } }, 'may not change status.nodeName');
      const attachments = [{ mountUID: 'u', workloadId: 'w', nodeName: 'n1', readOnly: false }];
      await refused(node, `${volume}/status`, { status: { attachments } }, 'may not change status.attachments');
      await refused(node, `${DEFAULT}/volumemounts/mine/status`, { status: { nodeName: null } }, 'status.nodeName');
      await refused(node, `${OURS}/storagenodes/n1`, { metadata: { labels: { gpu: 'a' } } }, 'metadata.labels');
      const anothers = { metadata: { labels: { 'kubernetes.io/hostname': 'n2' } } };
      await refused(node, `${OURS}/storagenodes/n1`, anothers, 'may have its own host name only');
      const { body } = await world.admin.ask(volume);
      expect((body['metadata'] as Record<string, unknown>)['labels']).to.equal(undefined);
      expect(body['spec']).to.not.have.property('capacity');
      expect((body['status'] as Record<string, unknown>)['nodeName']).to.equal('n1');
    });

    it('writes what it saw of a snapshot, and not of which volume it is', async () => {
      const path = `${DEFAULT}/snapshots/mine`;
      const body = { apiVersion, kind: 'Snapshot', metadata: { name: 'mine' }, spec: { volumeRef: { name: 'mine' } } };
      const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'of-moment' } };
      await world.admin.ask(`${CORE}/secrets`, { method: 'POST', body: secret });
      expect((await world.admin.ask(`${DEFAULT}/snapshots`, { method: 'POST', body })).code).to.equal(201);
      expect((await node.ask(path)).code).to.equal(403);
      expect((await node.ask(`${CORE}/secrets/of-moment`)).code).to.equal(403);
      const volumeSpec = { s3: { bucket: 'b', credentialsSecretRef: { name: 'of-moment' } } };
      const source = { volumeName: 'mine', volumeUID: 'uid', volumeSpec };
      const bound = await world.admin.merge(`${path}/status`, { status: { nodeName: 'n1', source } });
      expect(bound.code, bound.text).to.equal(200);
      expect((await node.ask(path)).code).to.equal(200);
      expect((await node.ask(`${OURS}/snapshots?fieldSelector=status.nodeName%3Dn1`)).code).to.equal(200);
      expect((await node.ask(`${OURS}/snapshots`)).code).to.equal(403);
      // Its volume may be gone, and with it what else would let the node read this.
      expect((await node.ask(`${CORE}/secrets/of-moment`)).code).to.equal(200);
      expect((await node.merge(`${path}/status`, { status: { readyToUse: true } })).code).to.equal(200);
      expect((await node.merge(path, { metadata: { finalizers: [`${GROUP}/snapshot`] } })).code).to.equal(200);
      await refused(node, `${path}/status`, { status: { nodeName: 'n2' } }, 'may not change status.nodeName');
      const other = { source: { ...source, volumeUID: 'another' } };
      await refused(node, `${path}/status`, { status: other }, 'may not change status.source');
      await refused(node, path, { spec: { ttl: '1h' } }, 'may not change spec');
      expect((await node.ask(path, { method: 'DELETE' })).code).to.equal(403);
      await world.admin.merge(path, { metadata: { finalizers: null } });
      await world.admin.ask(path, { method: 'DELETE' });
    });

    it('writes how a restore went, and not what it is about', async () => {
      const path = `${DEFAULT}/restores/mine`;
      const spec = { source: { snapshotRef: { name: 'mine' } } };
      const body = { apiVersion, kind: 'Restore', metadata: { name: 'mine' }, spec };
      expect((await node.ask(`${DEFAULT}/restores`, { method: 'POST', body })).code).to.equal(403);
      expect((await world.admin.ask(`${DEFAULT}/restores`, { method: 'POST', body })).code).to.equal(201);
      expect((await node.ask(path)).code).to.equal(403);
      const source = { snapshotName: 'mine', snapshotUID: 'uid', volumeName: 'mine', volumeUID: 'uid' };
      const startTime = '2026-01-01T00:00:00Z';
      const status = { nodeName: 'n1', source, startTime, safetySnapshotRef: { name: 'mine-safety' } };
      const bound = await world.admin.merge(`${path}/status`, { status });
      expect(bound.code, bound.text).to.equal(200);
      expect((await node.ask(`${OURS}/restores?fieldSelector=status.nodeName%3Dn1`)).code).to.equal(200);
      expect((await node.ask(`${OURS}/restores`)).code).to.equal(403);
      expect((await node.merge(`${path}/status`, { status: { completionTime: startTime } })).code).to.equal(200);
      const other = { source: { ...source, volumeUID: 'another' } };
      await refused(node, `${path}/status`, { status: other }, 'may not change status.source');
      const safety = { safetySnapshotRef: { name: 'another' } };
      await refused(node, `${path}/status`, { status: safety }, 'may not change status.safetySnapshotRef');
      await world.admin.ask(path, { method: 'DELETE' });
    });

    it('reads what its work on backups names, and makes only the backups that it found', async () => {
      const made: string[] = [];
      const post = async (resource: string, kind: string, name: string, spec: object, status: object) => {
        const body = { apiVersion, kind, metadata: { name }, spec };
        const { code, text } = await world.admin.ask(`${DEFAULT}/${resource}`, { method: 'POST', body });
        expect(code, text).to.equal(201);
        made.push(`${DEFAULT}/${resource}/${name}`);
        const bound = await world.admin.merge(`${DEFAULT}/${resource}/${name}/status`, { status });
        expect(bound.code, bound.text).to.equal(200);
      };
      const names = ['key', 'keys', 'key-of-work', 'key-of-restore', 'going-in', 'coming-out', 'key-of-other'];
      for (const name of names) {
        const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name } };
        await world.admin.ask(`${CORE}/secrets`, { method: 'POST', body });
        made.push(`${CORE}/secrets/${name}`);
        expect((await node.ask(`${CORE}/secrets/${name}`)).code, name).to.equal(403);
      }
      const found = (name: string, spec: object, metadata: object = {}) => ({
        method: 'POST' as const,
        body: { apiVersion, kind: 'Backup', metadata: { name, ...metadata }, spec },
      });
      const spec = { imported: { backupID: 'a-0123456789' }, repositoryRef: { name: 'mine' } };
      expect((await node.ask(`${DEFAULT}/backups`, found('a', spec))).code).to.equal(403);

      const encryption = (name: string) => ({ encryption: { secretRef: { name } } });
      const s3 = { bucket: 'backups', credentialsSecretRef: { name: 'keys' } };
      await post('backuprepositories', 'BackupRepository', 'mine', { s3, ...encryption('key') }, { nodeName: 'n1' });
      const other = { s3, ...encryption('key-of-other') };
      await post('backuprepositories', 'BackupRepository', 'other', other, { nodeName: 'n2' });
      const work = {
        backupRef: { name: 'b' },
        backupID: 'b-0123456789',
        clusterID: 'c',
        scope: 'Full',
        repository: { s3, ...encryption('key-of-work') },
        volumeRef: { name: 'mine' },
        volumeUID: 'uid',
        onPartial: 'Fail',
        priority: 0,
        deadline: '2026-01-01T00:00:00Z',
      };
      await post('volumebackups', 'VolumeBackup', 'b', work, { nodeName: 'n1' });
      const back = {
        repository: { s3, ...encryption('key-of-restore') },
        backupID: 'b-0123456789',
        snapshotID: 's',
        from: { namespace: 'default', name: 'mine' },
        volumeRef: { name: 'mine' },
        volumeUID: 'uid',
        mode: 'New',
        existingFiles: 'Overwrite',
      };
      await post('volumerestores', 'VolumeRestore', 'r', back, { nodeName: 'n1' });
      const destination = { scope: 'Configs', destination: '/srv/backups' };
      const goingIn = { nodeName: 'n1', manifestSecretRefs: [{ name: 'going-in' }] };
      await post('backups', 'Backup', 'b', destination, goingIn);
      const comingOut = { nodeName: 'n1', manifestSecretRef: { name: 'coming-out' } };
      await post('restores', 'Restore', 'r', { source: { backupRef: { name: 'b' } } }, comingOut);

      for (const name of names.slice(0, -1))
        expect((await node.ask(`${CORE}/secrets/${name}`)).code, name).to.equal(200);
      expect((await node.ask(`${CORE}/secrets/key-of-other`)).code).to.equal(403);

      // What it takes out of a repository goes into the one Secret that was made for that.
      const data = { data: { a: 'YQ==' } };
      expect((await node.merge(`${CORE}/secrets/coming-out`, data)).code).to.equal(200);
      for (const name of ['key', 'keys', 'going-in', 'key-of-other', 'absent']) {
        expect((await node.merge(`${CORE}/secrets/${name}`, data)).code, name).to.equal(403);
      }
      const labelled = { metadata: { labels: { a: 'b' } } };
      await refused(node, `${CORE}/secrets/coming-out`, labelled, 'may not change metadata.labels');
      await refused(node, `${CORE}/secrets/coming-out`, { immutable: true }, 'may not change immutable');

      // It must not give itself the right to read a Secret.
      const stolen = [{ name: 'key-of-other' }];
      await refused(node, `${DEFAULT}/backups/b/status`, { status: { manifestSecretRefs: stolen } }, 'may not change');
      await refused(
        node,
        `${DEFAULT}/restores/r/status`,
        { status: { manifestSecretRef: stolen[0] } },
        'may not change',
      );
      const record = { record: { snapshotID: 's', objects: 1 } };
      expect((await node.merge(`${DEFAULT}/backups/b/status`, { status: record })).code).to.equal(200);

      const created = await node.ask(
        `${DEFAULT}/backups`,
        found('a', { ...spec, deletionPolicy: 'Retain' }, { finalizers: [`${GROUP}/backup`] }),
      );
      expect(created.code, created.text).to.equal(201);
      made.push(`${DEFAULT}/backups/a`);
      for (const [name, ask] of Object.entries({
        'not found': found('x', { scope: 'Full', repositoryRef: { name: 'mine' } }),
        "another node's": found('x', { ...spec, repositoryRef: { name: 'other' } }),
        'no repository': found('x', { ...spec, repositoryRef: { name: 'absent' } }),
        'its data would go': found('x', { ...spec, deletionPolicy: 'Delete' }),
        'it would go by itself': found('x', { ...spec, ttl: '1h' }),
        'a foreign finalizer': found('x', spec, { finalizers: ['kubernetes.io/x'] }),
        'a foreign label': found('x', spec, { labels: { app: 'x' } }),
      })) {
        expect((await node.ask(`${DEFAULT}/backups`, ask)).code, name).to.equal(403);
      }
      // It is not given to the node yet, but lies in a repository that the node tends.
      expect((await node.ask(`${DEFAULT}/backups/a`)).code).to.equal(200);
      await refused(node, `${DEFAULT}/backups/a`, { spec: { ttl: '1h' } }, '');
      expect((await node.ask(`${DEFAULT}/backups/b`, { method: 'DELETE' })).code).to.equal(403);
      for (const path of made) {
        await world.admin.merge(path, { metadata: { finalizers: null } });
        await world.admin.ask(path, { method: 'DELETE' });
      }
    });

    it("changes no other node's objects, and makes and deletes none", async () => {
      for (const path of [
        `${DEFAULT}/volumes/other/status`,
        `${DEFAULT}/volumes/shared/status`,
        `${DEFAULT}/volumes/other`,
        `${DEFAULT}/volumemounts/other/status`,
        `${OURS}/storagenodes/n2/status`,
        `${LEASES}/node-n2`,
        `${LEASES}/clawstore-controller`,
      ]) {
        expect((await node.merge(path, { metadata: { finalizers: [] } })).code, path).to.equal(403);
      }
      // A test in a patch must not tell what stands in an object that may not be seen.
      const probe = [{ op: 'test', path: '/spec/s3/bucket', value: 'guess' }];
      const probed = await node.ask(`${DEFAULT}/volumes/other`, {
        method: 'PATCH',
        type: 'application/json-patch+json',
        body: probe,
      });
      expect(probed.code).to.equal(403);
      const volume = { apiVersion, kind: 'Volume', metadata: { name: 'new' }, spec: { emptyDir: {} } };
      expect((await node.ask(`${DEFAULT}/volumes`, { method: 'POST', body: volume })).code).to.equal(403);
      const applied = await node.ask(`${DEFAULT}/volumes/new?fieldManager=x`, {
        method: 'PATCH',
        type: 'application/apply-patch+yaml',
        body: volume,
      });
      expect(applied.code).to.equal(403);
      for (const path of [`${DEFAULT}/volumes/mine`, `${DEFAULT}/volumes`, `${OURS}/storagenodes/n1`]) {
        expect((await node.ask(path, { method: 'DELETE' })).code, path).to.equal(403);
      }
      expect((await world.admin.ask(`${DEFAULT}/volumes/new`)).code).to.equal(404);
    });

    it('makes its own StorageNode, Lease and Events, and nobody else’s', async () => {
      const fresh = world.byToken('node', 'n3');
      const post = async (path: string, body: object): Promise<number> =>
        (await fresh.ask(path, { method: 'POST', body })).code;
      const storageNode = (name: string, labels: object): object => ({
        apiVersion,
        kind: 'StorageNode',
        metadata: { name, labels },
      });
      expect(await post(`${OURS}/storagenodes`, storageNode('n4', {}))).to.equal(403);
      expect(await post(`${OURS}/storagenodes`, storageNode('n3', { gpu: 'a' }))).to.equal(403);
      expect(await post(`${OURS}/storagenodes`, storageNode('n3', { 'kubernetes.io/hostname': 'n1' }))).to.equal(403);
      const annotated = { apiVersion, kind: 'StorageNode', metadata: { name: 'n3', annotations: { a: 'b' } } };
      expect(await post(`${OURS}/storagenodes`, annotated)).to.equal(403);
      expect(await post(`${OURS}/storagenodes`, storageNode('n3', { 'kubernetes.io/hostname': 'n3' }))).to.equal(201);
      const lease = (name: string): object => ({
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name },
      });
      expect(await post(LEASES, lease('clawstore-controller'))).to.equal(403);
      expect(await post(LEASES, lease('node-n3'))).to.equal(201);
      expect(await post(`${CORE}/events`, event('n1', aboutVolume('mine')))).to.equal(403);
      expect(await post(`${CORE}/events`, event('n3', aboutVolume('mine')))).to.equal(403);
      expect(await post(`${CORE}/events`, event('n3', { apiVersion, kind: 'StorageNode', name: 'n3' }))).to.equal(201);
      expect(
        (await node.ask(`${CORE}/events`, { method: 'POST', body: event('n1', aboutVolume('mine'), 'm') })).code,
      ).to.equal(201);
      await refused(fresh, `${CORE}/events/m`, { message: 'forged' }, 'may write Events that it reports itself only');
      expect((await fresh.merge(`${CORE}/events/e`, { message: 'again' })).code).to.equal(200);
    });
  });

  describe('controller', () => {
    it('writes what nodes may not, and the Secrets that backups need', async () => {
      const status = { status: { phase: 'Bound', attachments: [] } };
      expect((await controller.merge(`${DEFAULT}/volumes/other/status`, status)).code).to.equal(200);
      expect((await controller.ask(`${OURS}/volumes`)).code).to.equal(200);
      expect((await controller.ask(LEASES)).code).to.equal(200);
      for (const path of [`${CORE}/secrets`, `${CORE}/secrets/of-mine`, `${CORE}/configmaps`]) {
        expect((await controller.ask(path)).code, path).to.equal(200);
      }
      const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'key' } };
      expect((await controller.ask(`${CORE}/secrets`, { method: 'POST', body: secret })).code).to.equal(201);
      expect((await controller.ask(`${CORE}/secrets/key`, { method: 'DELETE' })).code).to.equal(200);
      expect((await controller.ask(`${CORE}/secrets`, { method: 'DELETE' })).code).to.equal(403);
    });
  });

  describe('auth can-i', () => {
    interface Case {
      readonly verb: string;
      readonly group?: string;
      readonly resource: string;
      readonly subresource?: string;
      readonly namespace?: string;
      readonly name?: string;
    }
    const ours = (resource: string, name?: string, subresource?: string): Omit<Case, 'verb'> => ({
      group: GROUP,
      resource,
      namespace: 'default',
      ...(name === undefined ? {} : { name }),
      ...(subresource === undefined ? {} : { subresource }),
    });
    const things: readonly Omit<Case, 'verb'>[] = [
      ours('volumes'),
      ours('volumes', 'mine'),
      ours('volumes', 'other'),
      ours('volumes', 'shared'),
      ours('volumes', 'mine', 'status'),
      ours('volumes', 'other', 'status'),
      ours('volumemounts', 'here'),
      { group: GROUP, resource: 'storagenodes', name: 'n1' },
      { group: GROUP, resource: 'storagenodes', name: 'n2', subresource: 'status' },
      { group: GROUP, resource: 'volumeclasses' },
      { resource: 'secrets', namespace: 'default' },
      { resource: 'secrets', namespace: 'default', name: 'of-mine' },
      { resource: 'secrets', namespace: 'default', name: 'of-other' },
      { resource: 'configmaps', namespace: 'default' },
      { resource: 'namespaces' },
      { resource: 'events', namespace: 'default' },
      { resource: 'namespaces', name: 'default', subresource: 'status' },
      { group: 'coordination.k8s.io', resource: 'leases', namespace: 'clawstore-system', name: 'node-n1' },
      { group: 'coordination.k8s.io', resource: 'leases', namespace: 'clawstore-system', name: 'node-n2' },
    ];

    /** Does it for real (a dry run) and says whether it was allowed. */
    const attempt = async (
      client: Client,
      { verb, group, resource, subresource, namespace, name }: Case,
    ): Promise<boolean> => {
      const version = group === undefined ? '/api/v1' : `/apis/${group}/${group === GROUP ? 'v1alpha1' : 'v1'}`;
      const scope = namespace === undefined ? '' : `/namespaces/${namespace}`;
      const path = [`${version}${scope}/${resource}`, name, subresource].filter((part) => part !== undefined).join('/');
      const send = (): Promise<{ readonly code: number }> => {
        switch (verb) {
          case 'patch':
            return client.merge(`${path}?dryRun=All`, {});
          case 'delete':
            return client.ask(`${path}?dryRun=All`, { method: 'DELETE' });
          default:
            return client.ask(path);
        }
      };
      return (await send()).code !== 403;
    };

    for (const role of ['admin', 'viewer', 'node', 'controller'] as const) {
      it(`answers as the server then acts, for ${role}`, async () => {
        const client = { admin: world.admin, viewer, node, controller }[role];
        let allowed = 0;
        let refusals = 0;
        for (const thing of things) {
          const verbs =
            thing.name === undefined
              ? ['list']
              : thing.subresource === undefined
                ? ['get', 'patch', 'delete']
                : ['get', 'patch'];
          for (const verb of verbs) {
            const body = {
              apiVersion: 'authorization.k8s.io/v1',
              kind: 'SelfSubjectAccessReview',
              spec: { resourceAttributes: { verb, ...thing } },
            };
            const answer = await client.ask(REVIEW, { method: 'POST', body });
            const said = (answer.body['status'] as { allowed?: boolean } | undefined)?.allowed;
            expect(said, `${role} ${verb} ${JSON.stringify(thing)}`).to.equal(
              await attempt(client, { verb, ...thing }),
            );
            if (said === true) allowed += 1;
            else refusals += 1;
          }
        }
        expect(allowed).to.be.above(4);
        if (role !== 'admin') expect(refusals).to.be.above(4);
      });
    }

    it('answers for paths and for field selectors', async () => {
      const can = async (client: Client, spec: object): Promise<unknown> => {
        const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec };
        return ((await client.ask(REVIEW, { method: 'POST', body })).body['status'] as { allowed: boolean }).allowed;
      };
      const path = (text: string): object => ({ nonResourceAttributes: { verb: 'get', path: text } });
      expect(await can(viewer, path('/metrics'))).to.equal(true);
      expect(await can(node, path('/metrics'))).to.equal(false);
      expect(await can(node, path('/version'))).to.equal(true);
      const list = { verb: 'list', group: GROUP, resource: 'volumes' };
      const requirement = (value: string): object => ({ key: 'status.nodeName', operator: 'In', values: [value] });
      const selected = (value: string): object => ({
        resourceAttributes: { ...list, fieldSelector: { requirements: [requirement(value)] } },
      });
      expect(await can(node, { resourceAttributes: list })).to.equal(false);
      expect(await can(node, selected('n1'))).to.equal(true);
      expect(await can(node, selected('n2'))).to.equal(false);
    });

    it('lists the rights of a role, and says where that is not all', async () => {
      const rulesOf = async (client: Client): Promise<{ incomplete: boolean; resourceRules: object[] }> => {
        const body = {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SelfSubjectRulesReview',
          spec: { namespace: 'default' },
        };
        const answer = await client.ask(REVIEW.replace('access', 'rules'), { method: 'POST', body });
        return answer.body['status'] as { incomplete: boolean; resourceRules: object[] };
      };
      const seen = await rulesOf(viewer);
      expect(seen.incomplete).to.equal(false);
      expect(JSON.stringify(seen.resourceRules)).to.not.include('secrets');
      expect((await rulesOf(node)).incomplete).to.equal(true);
    });
  });
});
