import { expect } from 'chai';
import { describe, it } from 'mocha';
import { heartbeat, RENEW_MS } from '../../../src/controllers/node/heartbeat.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import { silentLogger } from '../../../src/telemetry/log.ts';
import { FakeClock } from '../../support/fake-clock.ts';

describe('the heartbeat of an agent', () => {
  it('tells for how long the API server was away when it answers again, and nothing of other failures', async () => {
    const clock = new FakeClock();
    let failure: KubeError | undefined;
    let renewals = 0;
    const client = {
      get: () => (failure === undefined ? Promise.resolve({ metadata: {}, spec: {} }) : Promise.reject(failure)),
      patch: () => {
        renewals += 1;
        return Promise.resolve({});
      },
    } as unknown as KubeClient;
    const told: number[] = [];
    const stop = new AbortController();
    const onReturn = (awayMs: number): void => {
      told.push(awayMs);
    };
    const options = { client, nodeName: 'a', identity: 'me', clock, log: silentLogger, onReturn };
    const ended = heartbeat(options).run(stop.signal);

    await clock.advance(RENEW_MS);
    failure = new KubeError({ reason: 'Conflict', status: 409, message: 'somebody else was faster' });
    await clock.advance(RENEW_MS);
    failure = undefined;
    await clock.advance(RENEW_MS);
    expect(told).to.deep.equal([]);

    failure = new KubeError({ reason: 'DeadlineExceeded', status: 0, message: 'no answer' });
    const before = renewals;
    await clock.advance(600_000);
    expect(renewals).to.equal(before);
    failure = undefined;
    await clock.advance(RENEW_MS);
    expect(told).to.have.length(1);
    expect(told[0]).to.be.within(600_000, 600_000 + 2 * RENEW_MS);
    stop.abort();
    await ended;
  });
});
