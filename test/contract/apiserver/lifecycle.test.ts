import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { after, before, beforeEach, describe, it } from 'mocha';
import { volume } from './cases/support.ts';
import { type RunningServer, SERVERS } from './servers.ts';
import { type Loose, RawClient, until } from './watch-client.ts';

const MERGE = 'application/merge-patch+json';

for (const { name, start } of SERVERS) {
  describe(`garbage collection and namespaces of the ${name} API server`, function () {
    this.timeout(120_000);
    let server: RunningServer;
    let client: RawClient;
    let namespace: string;
    let volumes: string;
    let maps: string;

    before(async () => {
      server = await start();
      client = new RawClient(server.target);
    });

    after(async () => {
      await client.close();
    });

    beforeEach(async () => {
      namespace = `gc-${randomBytes(5).toString('hex')}`;
      await client.send('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
      volumes = `/apis/storage.clawbernetes.io/v1alpha1/namespaces/${namespace}/volumes`;
      maps = `/api/v1/namespaces/${namespace}/configmaps`;
    });

    const owned = (item: string, owner: Loose, more: Readonly<Record<string, unknown>> = {}): Promise<Loose> =>
      client.send('POST', maps, {
        metadata: {
          name: item,
          ownerReferences: [
            {
              apiVersion: 'storage.clawbernetes.io/v1alpha1',
              kind: 'Volume',
              name: owner.metadata.name,
              uid: owner.metadata.uid,
              blockOwnerDeletion: true,
            },
          ],
          ...more,
        },
      });
    const gone = (path: string): Promise<Loose> =>
      until(
        () => client.send('GET', path),
        ({ code }) => code === 404,
      );

    it('deletes dependents in the background', async () => {
      const owner = await client.send('POST', volumes, volume('owner'));
      await owned('child', owner);
      await client.send('DELETE', `${volumes}/owner`, { propagationPolicy: 'Background' });
      await gone(`${maps}/child`);
    });

    it('deletes the owner after its dependents in the foreground', async () => {
      const owner = await client.send('POST', volumes, volume('owner'));
      await owned('child', owner, { finalizers: ['example.com/hold'] });
      const marked = await client.send('DELETE', `${volumes}/owner`, { propagationPolicy: 'Foreground' });
      expect(marked.metadata.finalizers).to.deep.equal(['foregroundDeletion']);
      await until(
        () => client.send('GET', `${maps}/child`),
        ({ metadata }) => metadata.deletionTimestamp !== undefined,
      );
      expect((await client.send('GET', `${volumes}/owner`)).code).to.equal(undefined);
      await client.send('PATCH', `${maps}/child`, { metadata: { finalizers: null } }, MERGE);
      await gone(`${maps}/child`);
      await gone(`${volumes}/owner`);
    });

    it('leaves orphans without a reference', async () => {
      const owner = await client.send('POST', volumes, volume('owner'));
      await owned('child', owner);
      await client.send('DELETE', `${volumes}/owner`, { propagationPolicy: 'Orphan' });
      await gone(`${volumes}/owner`);
      const child = await until(
        () => client.send('GET', `${maps}/child`),
        ({ metadata }) => metadata.ownerReferences === undefined,
      );
      expect(child.metadata.deletionTimestamp).to.equal(undefined);
    });

    it('deletes an object whose owner does not exist', async () => {
      const owner = await client.send('POST', volumes, volume('owner'));
      await client.send('DELETE', `${volumes}/owner`);
      await owned('late', owner);
      await gone(`${maps}/late`);
    });

    it('keeps an object whose owner is of a kind that the server does not have', async () => {
      const reference = {
        apiVersion: 'example.com/v1',
        kind: 'Thing',
        name: 'thing',
        uid: randomBytes(8).toString('hex'),
      };
      await client.send('POST', maps, { metadata: { name: 'stray', ownerReferences: [reference] } });
      const owner = await client.send('POST', volumes, volume('owner'));
      await client.send('DELETE', `${volumes}/owner`);
      await owned('late', owner);
      await gone(`${maps}/late`);
      const stray = await client.send('GET', `${maps}/stray`);
      expect([stray.code, stray.metadata.deletionTimestamp]).to.deep.equal([undefined, undefined]);
    });

    it('keeps an object as long as one of its owners is there', async () => {
      const first = await client.send('POST', volumes, volume('first'));
      const second = await client.send('POST', volumes, volume('second'));
      const reference = ({ metadata }: Loose): unknown => ({
        apiVersion: 'storage.clawbernetes.io/v1alpha1',
        kind: 'Volume',
        name: metadata.name,
        uid: metadata.uid,
      });
      await client.send('POST', maps, {
        metadata: { name: 'child', ownerReferences: [reference(first), reference(second)] },
      });
      await client.send('DELETE', `${volumes}/first`);
      await until(
        () => client.send('GET', `${maps}/child`),
        ({ metadata }) => metadata.ownerReferences?.length === 1,
      );
      await client.send('DELETE', `${volumes}/second`);
      await gone(`${maps}/child`);
    });

    it('empties a namespace that is deleted and removes it', async () => {
      await client.send('POST', volumes, volume('a'));
      await client.send('POST', maps, { metadata: { name: 'm' } });
      const marked = await client.send('DELETE', `/api/v1/namespaces/${namespace}`);
      expect(marked['status']).to.have.property('phase', 'Terminating');
      await gone(`/api/v1/namespaces/${namespace}`);
      expect((await client.send('GET', `${volumes}/a`)).code).to.equal(404);
    });

    it('keeps a namespace until the finalizers in it are done, and says so', async () => {
      await client.send('POST', volumes, volume('a', {}, { finalizers: ['example.com/hold'] }));
      await client.send('DELETE', `/api/v1/namespaces/${namespace}`);
      const waiting = await until(
        () => client.send('GET', `/api/v1/namespaces/${namespace}`),
        ({ status }) => JSON.stringify(status).includes('SomeFinalizersRemain'),
      );
      expect(JSON.stringify(waiting['status'])).to.include(
        'Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances',
      );
      const refused = await client.send('POST', volumes, volume('b'));
      expect(refused.code).to.equal(403);
      await client.send('PATCH', `${volumes}/a`, { metadata: { finalizers: null } }, MERGE);
      await gone(`/api/v1/namespaces/${namespace}`);
    });
  });
}
