import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { KubeClient, RawRequest } from '../../src/kube/client.ts';
import { KubeError } from '../../src/kube/errors.ts';
import { nodeAccountToken } from '../../src/kube/node-account.ts';
import { FakeClock } from '../support/fake-clock.ts';

const account = { namespace: 'clawstore-nodes', nodeName: 'n1' };

/** Answers TokenRequests as told; counts them. */
function serverThat(answer: (count: number) => { token: string; seconds: number } | KubeError) {
  const requests: RawRequest[] = [];
  const created: string[] = [];
  const client = {
    raw: (request: RawRequest) => {
      requests.push(request);
      const said = answer(requests.length);
      if (said instanceof KubeError) return Promise.reject(said);
      const body = { spec: { expirationSeconds: said.seconds }, status: { token: said.token } };
      return Promise.resolve({ status: 201, headers: {}, text: JSON.stringify(body) });
    },
    create: (_resource: unknown, object: { metadata: { name: string } }) => {
      created.push(object.metadata.name);
      return Promise.resolve(object);
    },
  } as unknown as KubeClient;
  return { client, requests, created };
}

describe('the token of a node', () => {
  it('is asked once for all who want it, bound to the node, and used for four fifths of its time', async () => {
    const clock = new FakeClock();
    const { client, requests } = serverThat((count) => ({ token: `t${count}`, seconds: 1000 }));
    const token = nodeAccountToken(client, account, clock);
    expect(await Promise.all([token(), token()])).to.deep.equal(['t1', 't1']);
    expect(requests[0]?.path).to.equal('/api/v1/namespaces/clawstore-nodes/serviceaccounts/n1/token');
    expect(requests[0]?.body).to.have.nested.property('spec.boundObjectRef.name', 'n1');
    await clock.advance(799_000);
    expect(await token()).to.equal('t1');
    await clock.advance(2000);
    expect(await token()).to.equal('t2');
    expect(requests).to.have.length(2);
  });

  it('makes the account when it is not there', async () => {
    const absent = new KubeError({ reason: 'NotFound', status: 404, message: 'no such account' });
    const { client, created } = serverThat((count) => (count === 1 ? absent : { token: 't', seconds: 1000 }));
    expect(await nodeAccountToken(client, account, new FakeClock())()).to.equal('t');
    expect(created).to.deep.equal(['n1']);
  });

  it('is used to its end when it cannot be replaced, and no longer', async () => {
    const clock = new FakeClock();
    const away = new KubeError({ reason: 'ServerError', status: 500, message: 'away' });
    const { client, requests } = serverThat((count) => (count === 1 ? { token: 't', seconds: 1000 } : away));
    const token = nodeAccountToken(client, account, clock);
    await token();
    await clock.advance(801_000);
    expect(await token()).to.equal('t');
    expect(await token()).to.equal('t');
    expect(requests, 'not asked for each request').to.have.length(2);
    await clock.advance(11_000);
    expect(await token()).to.equal('t');
    expect(requests).to.have.length(3);
    await clock.advance(190_000);
    const refusal = await token().catch((thrown: unknown) => thrown);
    expect(refusal).to.be.instanceOf(KubeError);
  });
});
