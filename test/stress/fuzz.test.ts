import { expect } from 'chai';
import fc from 'fast-check';
import { after, before, describe, it } from 'mocha';
import { full, seed } from '../support/harness/run.ts';
import { Lane } from './fuzz/lane.ts';
import { plan } from './fuzz/plans.ts';
import { type ServerProcess, startServer } from './support/server.ts';

/** Requests in all, with those that look at what the others did. CLAWSTORE_FUZZ_REQUESTS takes another number. */
const REQUESTS = Number(process.env['CLAWSTORE_FUZZ_REQUESTS'] ?? (full ? 1_000_000 : 8_000));
/** Clients at once, each in a namespace of its own: enough that commits are shared. */
const LANES = 8;

/** CLAWSTORE_SEED repeats the requests of a run. */
describe(`the API server, asked what nobody should ask (CLAWSTORE_SEED=${seed})`, function () {
  this.timeout(full ? 3_600_000 : 240_000);
  let server: ServerProcess;
  const lanes: Lane[] = [];

  before(async () => {
    server = await startServer();
  });

  after(() => {
    for (const lane of lanes) lane.close();
  });

  it(`answers ${REQUESTS} requests truly, and never with an internal error`, async () => {
    await Promise.all(
      Array.from({ length: LANES }, async (_, number) => {
        const lane = new Lane(server, number);
        lanes.push(lane);
        await lane.open();
        await runLane(lane, seed + number);
      }),
    );
    const codes = new Map<number, number>();
    for (const lane of lanes) for (const [code, count] of lane.codes) codes.set(code, (codes.get(code) ?? 0) + count);
    // Noise that is refused at once would show nothing.
    expect(codes.get(200), JSON.stringify([...codes])).to.be.greaterThan(REQUESTS / 4);
    for (const code of [201, 400, 404, 409, 415, 422]) expect(codes.get(code), String(code)).to.be.greaterThan(0);
  });

  it('has noticed no error inside, and its prototypes are clean', async () => {
    expect(server.isRunning()).to.equal(true);
    expect(await server.stop()).to.deep.equal({ errors: [], pollution: [] });
  });
});

/** Sends requests until the lane has done its part. Throws Error with the request that broke something. */
async function runLane(lane: Lane, laneSeed: number): Promise<void> {
  const share = REQUESTS / LANES;
  const property = fc.asyncProperty(plan, async (one) => {
    await lane.run(one);
    // The rest of the runs is not needed.
    if (lane.sent >= share) fc.pre(false);
  });
  const details = await fc.check(property, {
    seed: laneSeed,
    numRuns: share,
    maxSkipsPerRun: 0,
    // What the server stores differs the second time: a smaller example would be of something else.
    endOnFailure: true,
  });
  if (!details.failed || details.errorInstance === null) return;
  throw new Error(
    `${lane.namespace}, request ${lane.sent}: ${String(details.errorInstance)}\n${lane.last}\n${JSON.stringify(details.counterexample)}`,
    { cause: details.errorInstance },
  );
}
