import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import type { Lease } from '../../../src/api/core.ts';
import { nodeLeaseName, SYSTEM_NAMESPACE } from '../../../src/api/group.ts';
import { claimNode, NodeTakenError } from '../../../src/controllers/node/claim.ts';
import { renew } from '../../../src/controllers/node/heartbeat.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { systemClock } from '../../../src/telemetry/clock.ts';
import { silentLogger } from '../../../src/telemetry/log.ts';

const NODE = 'gpu-1';
const never = new AbortController().signal;

/** A Lease as the API server keeps it, and a clock that moves with every sleep. */
describe('the claim on a node name', () => {
  let lease: Lease | undefined;
  let now: number;
  let whileAsleep: () => void;
  let patches: unknown[];
  let reads: number;

  beforeEach(() => {
    lease = undefined;
    now = Date.parse('2026-11-22T12:00:00Z');
    whileAsleep = () => undefined;
    patches = [];
    reads = 0;
  });

  const client = {
    get: () => {
      reads += 1;
      if (lease !== undefined) return Promise.resolve(lease);
      return Promise.reject(new KubeError({ reason: 'NotFound', status: 404, message: 'not found' }));
    },
    patch: (_resource: unknown, _ref: unknown, body: Pick<Lease, 'metadata' | 'spec'>) => {
      patches.push(body);
      const version = lease?.metadata.resourceVersion;
      if (lease === undefined || body.metadata.resourceVersion !== version) {
        const [reason, status] = lease === undefined ? (['NotFound', 404] as const) : (['Conflict', 409] as const);
        return Promise.reject(new KubeError({ reason, status, message: 'refused' }));
      }
      const metadata = { ...lease.metadata, resourceVersion: `${Number(version) + 1}` };
      lease = { ...lease, metadata, spec: { ...lease.spec, ...body.spec } };
      return Promise.resolve(lease);
    },
    create: (_resource: unknown, object: Lease) => {
      lease = object;
      return Promise.resolve(object);
    },
  } as unknown as KubeClient;
  const clock = {
    ...systemClock,
    now: () => now,
    monotonic: () => now,
    setTimer: (ms: number, callback: () => void) => {
      now += ms;
      whileAsleep();
      queueMicrotask(callback);
      return { cancel: () => undefined };
    },
  };
  const held = (holderIdentity: string, renewTime: number): Lease => ({
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { namespace: SYSTEM_NAMESPACE, name: nodeLeaseName(NODE), resourceVersion: '7' },
    spec: { holderIdentity, leaseDurationSeconds: 40, renewTime: new Date(renewTime).toISOString() },
  });
  const claim = () => claimNode({ client, nodeName: NODE, identity: 'me', clock, log: silentLogger }, never);
  const failure = (promise: Promise<unknown>) => promise.then(() => undefined).catch((thrown: unknown) => thrown);

  it('holds at once where nobody has it, and for the installation that had it before', async () => {
    await claim();
    lease = held('me', now);
    await claim();
    expect(now).to.equal(Date.parse('2026-11-22T12:00:00Z'));
  });

  it('is refused while another agent renews its Lease', async () => {
    lease = held('other', now);
    whileAsleep = () => {
      lease = held('other', now);
    };
    expect(await failure(claim()))
      .to.be.instanceOf(NodeTakenError)
      .with.property('message')
      .that.contains('--node-name');
  });

  it('is given when the other one has been silent for as long as its Lease holds', async () => {
    const start = now;
    lease = held('other', now);
    await claim();
    expect(now - start).to.be.greaterThan(40_000);
  });

  it('never writes over the live Lease of another agent', async () => {
    lease = held('other', now);
    expect(await failure(renew(client, NODE, 'me', new Date(now), never))).to.be.instanceOf(NodeTakenError);
    expect(patches).to.deep.equal([]);
  });

  it('renews against the version that was read, so that two cannot both take a Lease over', async () => {
    lease = held('other', now - 60_000);
    await renew(client, NODE, 'me', new Date(now), never);
    expect(patches).to.have.length(1);
    expect(patches[0]).to.have.nested.property('metadata.resourceVersion', '7');
    expect(patches[0]).to.have.nested.property('spec.holderIdentity', 'me');
  });

  it('renews again with one request, as long as nobody else writes', async () => {
    lease = held('me', now);
    let last = await renew(client, NODE, 'me', new Date(now), never);
    expect(reads).to.equal(1);
    for (let turn = 0; turn < 3; turn++) last = await renew(client, NODE, 'me', new Date(now), never, last);
    expect([reads, patches.length]).to.deep.equal([1, 4]);
  });

  it('reads again what somebody else has written, and never takes a live Lease back', async () => {
    lease = held('me', now);
    const last = await renew(client, NODE, 'me', new Date(now), never);
    lease = { ...held('other', now), metadata: { ...lease.metadata, resourceVersion: '99' } };
    expect(await failure(renew(client, NODE, 'me', new Date(now), never, last))).to.be.instanceOf(NodeTakenError);
    expect(lease.spec?.holderIdentity).to.equal('other');
  });

  it('makes a Lease anew that was deleted meanwhile', async () => {
    lease = held('me', now);
    const last = await renew(client, NODE, 'me', new Date(now), never);
    lease = undefined;
    await renew(client, NODE, 'me', new Date(now), never, last);
    expect(lease).to.have.nested.property('spec.holderIdentity', 'me');
  });
});
