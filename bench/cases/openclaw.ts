/** What agents ask for, through a real OpenClaw gateway and through `clawstore invoke`, beside kubectl doing the same. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { toolPath } from '../../scripts/tools.ts';
import type { Case, Context, Measurement } from '../support/case.ts';
import { Machine } from '../support/machine.ts';
import { mountedHostPath } from '../support/manifests.ts';
import { startGateway } from '../support/openclaw.ts';
import { run } from '../support/scope.ts';
import { quantile } from '../support/stats.ts';

const CLAWSTORE = join(import.meta.dirname, '../../bin/clawstore');
/** Of each way in one round. */
const COUNT = 20;
const LISTED = 10;

type Way = 'gateway' | 'invoke' | 'kubectl';
type Ways = Readonly<Record<Way, (serial: string) => Promise<unknown>>>;

const TITLES: Readonly<Record<Exclude<Way, 'kubectl'>, string>> = {
  gateway: 'through an OpenClaw gateway',
  invoke: 'by `clawstore invoke`',
};

export const openclaw: Case = {
  name: 'openclaw',
  async run(context) {
    const { scope } = context;
    const gateway = await startGateway(scope);
    const machine = await Machine.create(scope);
    await machine.start(gateway.nodeEnv);
    const nodeId = await gateway.letIn();
    const { list, createAndMount } = await waysOf(machine, (command, params) =>
      gateway.operator.invoke(nodeId, command, params),
    );
    const measurements = [
      ...(await measure('list', `\`volume.list\` of ${LISTED}`, '`kubectl get volumes`', list, context)),
      ...(await measure(
        'create-mount',
        '`volume.create` and `volume.mount`, hostPath, until mounted',
        '`kubectl apply`, `kubectl wait` for volume and mount',
        createAndMount,
        context,
      )),
    ];
    await machine.deleteAll(await machine.api(4));
    return measurements;
  },
};

async function waysOf(
  { scope, kubeconfig, host }: Machine,
  call: (command: string, params: unknown) => Promise<unknown>,
): Promise<{ readonly list: Ways; readonly createAndMount: Ways }> {
  const kubectl = await toolPath('kubectl');
  const given = [`--kubeconfig=${kubeconfig}`, `--cache-dir=${scope.path('kube-cache')}`];
  const invoke = (command: string, params: unknown): Promise<unknown> =>
    run(CLAWSTORE, ['invoke', command, JSON.stringify(params), '--state-dir', scope.path('state')]);
  const createAndMount = async (by: typeof call, name: string): Promise<void> => {
    const path = join(host, name);
    mkdirSync(path);
    await by('volume.create', { name, type: 'hostpath', path });
    await by('volume.mount', { volumeId: name, workloadId: 'w', mountPath: '/data' });
  };
  for (let index = 0; index < LISTED; index++) {
    const path = join(host, `listed-${index}`);
    mkdirSync(path);
    await call('volume.create', { name: `listed-${index}`, type: 'hostpath', path });
  }
  return {
    list: {
      gateway: () => call('volume.list', {}),
      invoke: () => invoke('volume.list', {}),
      kubectl: () => run(kubectl, [...given, 'get', 'volumes']),
    },
    createAndMount: {
      gateway: (serial) => createAndMount(call, serial),
      invoke: (serial) => createAndMount(invoke, serial),
      kubectl: async (serial) => {
        const path = join(host, serial);
        mkdirSync(path);
        await run(kubectl, [...given, 'apply', '-f', '-'], mountedHostPath(serial, path));
        const what = [`volume/${serial}`, `volumemount/${serial}`];
        await run(kubectl, [...given, 'wait', '--for=condition=Ready', '--timeout=60s', ...what]);
      },
    },
  };
}

/** All three ways take turns; each of ours is a row, beside the same samples of kubectl. */
async function measure(
  name: string,
  title: string,
  peer: string,
  ways: Ways,
  { options, progress }: Context,
): Promise<readonly Measurement[]> {
  const samples: Record<Way, number[]> = { gateway: [], invoke: [], kubectl: [] };
  for (let round = 0; round < options.rounds; round++) {
    for (let index = 0; index < COUNT; index++) {
      for (const way of ['gateway', 'invoke', 'kubectl'] as const) {
        const start = performance.now();
        await ways[way](`${way}-${round}-${index}`);
        samples[way].push(performance.now() - start);
      }
    }
    progress(`${name}, round ${round + 1}`);
  }
  const other = quantile(samples.kubectl, 0.99);
  return (['gateway', 'invoke'] as const).map((way) => {
    const ours = quantile(samples[way], 0.99);
    return {
      name: `${way}-${name}`,
      title: `${title}, ${TITLES[way]}`,
      unit: 'ms',
      ours: samples[way],
      other: { title: peer, samples: samples.kubectl },
      of: 'median',
      notes: { p99: { ours, other, ratio: ours / other } },
    };
  });
}
