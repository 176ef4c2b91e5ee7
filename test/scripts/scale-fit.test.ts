import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Step } from '../../bench/cases/scale.ts';
import type { Difference } from '../../bench/support/scale.ts';
import { fit, scaleRows } from '../../bench/support/scale-table.ts';

describe('the line through what was measured', () => {
  it('is the line that the points lie on', () => {
    const { base, slope } = fit([
      [25, 57],
      [50, 107],
      [100, 207],
    ]);
    expect(base).to.be.closeTo(7, 1e-9);
    expect(slope).to.be.closeTo(2, 1e-9);
  });

  it('is flat where there is one size', () => {
    expect(fit([[10, 3]])).to.deep.equal({ base: 3, slope: 0 });
  });
});

const NOTHING = { opened: 0, events: 0, bytes: 0, initial: 0, initialBytes: 0, foreign: 0 };
const difference = (some: Partial<Difference>): Difference => ({
  seconds: 10,
  cpu: { apiserver: 0, etcd: 0, controller: 0, agents: 0 },
  requests: {},
  requestCount: 0,
  writeCount: 0,
  throttled: 0,
  watchEvents: 0,
  watchBytes: 0,
  perAgent: NOTHING,
  foreign: 0,
  ...some,
});

/** A cluster with 100 volumes per node, of which all that grows does so by known amounts. */
function stepOf(nodes: number): Step {
  return {
    nodes,
    volumesBefore: nodes * 50,
    volumes: nodes * 100,
    started: nodes / 2,
    start: difference({ cpu: { apiserver: nodes, etcd: 0, controller: 0, agents: 0 } }),
    pairCount: nodes * 60,
    pairs: difference({ requestCount: nodes * 60 * 15 }),
    pairsMs: 1,
    placeCount: 1000,
    place: difference({}),
    placedMs: 2000 + 10 * nodes,
    perNode: [100, 100],
    // Seven a second whatever there is, and two for each node; the controller gets cheaper.
    idle: difference({
      requestCount: 10 * (7 + 2 * nodes),
      cpu: { apiserver: 0, etcd: 0, controller: 1 - nodes / 1000, agents: 0 },
    }),
    memory: { apiserver: 300 + nodes, etcd: 0, controller: 100 + nodes / 10, agents: 0 },
    shared: difference({}),
  };
}

describe('the table of what many nodes cost', () => {
  const rowOf = (title: string, ...nodes: readonly number[]): string | undefined =>
    scaleRows(nodes.map(stepOf)).find((row) => row.startsWith(`| ${title} |`));

  it('draws what was measured at three sizes on to the large cluster', () => {
    expect(rowOf('at rest: requests at the API server', 25, 50, 100)).to.equal(
      '| at rest: requests at the API server | 57.0 /s | 107 /s | 207 /s | 2.00 /s per node | 2007 /s |',
    );
    expect(rowOf('1000 volumes without a wish: until all have a node', 25, 50, 100)).to.equal(
      '| 1000 volumes without a wish: until all have a node | 2.25 s | 2.50 s | 3.00 s | 0.0100 s per node | 12.0 s |',
    );
    expect(rowOf('memory of kube-apiserver', 25, 50, 100)).to.equal(
      '| memory of kube-apiserver | 325 MiB | 350 MiB | 400 MiB | 10.0 MiB per 1,000 volumes | 1300 MiB |',
    );
  });

  it('draws nothing on that does not grow, or was measured with too little', () => {
    expect(rowOf('a volume with a mount: requests', 25, 50, 100)).to.equal(
      '| a volume with a mount: requests | 15.0 | 15.0 | 15.0 | – | 15.0 |',
    );
    expect(rowOf('at rest: controller, of a core', 25, 50, 100)).to.match(/ \| none seen \| 9\.00 % \|$/);
    expect(rowOf('memory of the controller', 5, 10, 20)).to.match(/ \| – \| too small to say \|$/);
  });
});
