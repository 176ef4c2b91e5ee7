import { expect } from 'chai';
import { describe, it } from 'mocha';
import { findCondition } from '../../../src/api/conditions.ts';
import type { Lease } from '../../../src/api/core.ts';
import { nodeLifecycleReconciler, nodeOfLease } from '../../../src/controllers/node-lifecycle/reconciler.ts';
import { Store } from '../../../src/runtime/store.ts';
import { lostNode, storageNode } from '../support/objects.ts';
import { World } from '../support/world.ts';

class LifecycleWorld extends World {
  readonly leases = new Store<Lease>();
  readonly #reconcile = nodeLifecycleReconciler({
    nodes: this.nodes,
    leases: this.leases,
    writer: this.writer('controller'),
    events: this.sink,
  });

  renew(renewTime: string, leaseDurationSeconds = 40): this {
    const metadata = { namespace: 'clawstore-system', name: 'node-a', resourceVersion: renewTime };
    this.leases.set({
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata,
      spec: { renewTime, leaseDurationSeconds },
    });
    return this;
  }

  run() {
    return this.#reconcile('a', this.context());
  }

  get ready() {
    const found = findCondition(this.nodes.get('a')?.status?.conditions, 'Ready');
    return `${found?.status} ${found?.reason}`;
  }
}

describe('node lifecycle', () => {
  it('writes nothing while the Lease is renewed', async () => {
    const on = new LifecycleWorld().add(storageNode('a'));
    for (const renewTime of ['t1', 't2', 't3']) {
      expect((await on.renew(renewTime).run()).requeueAfterMs).to.equal(40_000);
      await on.clock.advance(30_000);
    }
    expect(on.writes).to.deep.equal([]);
  });

  it('calls a node lost when its Lease was not renewed for its whole duration, by this clock', async () => {
    const on = new LifecycleWorld().add(storageNode('a'));
    await on.renew('long ago by another clock').run();
    await on.clock.advance(39_999);
    expect((await on.run()).requeueAfterMs).to.equal(1);
    expect(on.writes).to.deep.equal([]);
    await on.clock.advance(1);
    await on.run();
    expect(on.ready).to.equal('Unknown NodeLost');
    expect(on.events).to.deep.equal(['Warning NodeLost StorageNode/a']);
  });

  it('gives a node that has no Lease yet the time to make one', async () => {
    const on = new LifecycleWorld().add(storageNode('a'));
    await on.run();
    expect(on.writes).to.deep.equal([]);
    await on.clock.advance(40_000);
    await on.run();
    expect(on.ready).to.equal('Unknown NodeLost');
  });

  it('keeps a node lost over its own restart, and until the agent speaks', async () => {
    const on = new LifecycleWorld().add(lostNode('a'));
    await on.renew('t1').run();
    await on.renew('t2').run();
    expect(on.ready).to.equal('Unknown NodeLost');
    on.add(storageNode('a'));
    await on.run();
    expect(on.ready).to.equal('True AgentReady');
  });

  it('knows the Leases of nodes from others', () => {
    const lease = (name: string) => ({ metadata: { name } }) as Lease;
    expect(nodeOfLease(lease('node-gpu.1'))).to.equal('gpu.1');
    expect(nodeOfLease(lease('clawstore-controller'))).to.equal(undefined);
  });
});
