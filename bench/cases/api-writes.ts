/** Writes per second of the API servers, beside each other: create, and server-side apply of a status. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { ApiWritesResult } from '../clients/api-writes.ts';
import type { Case, Measurement } from '../support/case.ts';
import { runClient } from '../support/client.ts';
import { startKubernetes } from '../support/kubernetes.ts';

const CLAWSTORE = join(import.meta.dirname, '../../bin/clawstore');
const COUNT = 500;

export const apiWrites: Case = {
  name: 'api-writes',
  async run({ scope, options, progress }) {
    const kubernetes = await startKubernetes(scope);
    const embedded = scope.path('api', 'kubeconfig');
    const server = scope.start('apiserver', CLAWSTORE, ['apiserver', '--state-dir', scope.path('api')]);
    while (!existsSync(embedded)) {
      server.assertRunning();
      await delay(20);
    }
    const measurements: Measurement[] = [];
    for (const connections of [1, 16, 32]) {
      const samples = { ours: [] as ApiWritesResult[], other: [] as ApiWritesResult[] };
      for (let round = 0; round < options.rounds; round++) {
        for (const [side, kubeconfig] of [
          ['ours', embedded],
          ['other', kubernetes],
        ] as const) {
          const request = { kubeconfig, connections, prefix: `c${connections}-r${round}`, count: COUNT };
          samples[side].push(await runClient<ApiWritesResult>('api-writes', request));
        }
        const [ours, other] = [samples.ours.at(-1), samples.other.at(-1)];
        progress(
          `${connections} connections, round ${round + 1}: applies/s ${ours?.appliesPerSecond.toFixed(0)} (kube-apiserver ${other?.appliesPerSecond.toFixed(0)})`,
        );
      }
      for (const [kind, what] of [
        ['createsPerSecond', 'creates'],
        ['appliesPerSecond', 'status applies'],
      ] as const) {
        measurements.push({
          name: `api-${what.replace(' ', '-')}-${connections}`,
          title: `API server, ${what} over ${connections} connection${connections === 1 ? '' : 's'}`,
          unit: '/s',
          ours: samples.ours.map((one) => one[kind]),
          other: { title: 'kube-apiserver and etcd', samples: samples.other.map((one) => one[kind]) },
          of: 'median',
        });
      }
    }
    return measurements;
  },
};
