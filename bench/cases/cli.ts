/** Commands as people and scripts run them, each a process of its own, beside kubectl doing the same. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { toolPath } from '../../scripts/tools.ts';
import type { Case, Context, Measurement } from '../support/case.ts';
import { Machine } from '../support/machine.ts';
import { mountedHostPath } from '../support/manifests.ts';
import { quantile } from '../support/stats.ts';

const CLAWSTORE = join(import.meta.dirname, '../../bin/clawstore');
/** Of each command in one round. */
const COUNT = 10;
const LISTED = 10;

interface Pair {
  readonly name: string;
  readonly title: string;
  readonly peer: string;
  readonly goal?: Measurement['goal'];
  ours(serial: string): void;
  other(serial: string): void;
}

export const cli: Case = {
  name: 'cli',
  async run(context) {
    const { scope } = context;
    const machine = await Machine.create(scope);
    await machine.start();
    const kubectl = await toolPath('kubectl');
    const measurements: Measurement[] = [];
    for (const pair of pairs(machine, kubectl)) measurements.push(measure(pair, context));
    await machine.deleteAll(await machine.api(4));
    return measurements;
  },
};

function pairs(machine: Machine, kubectl: string): readonly Pair[] {
  const { scope, kubeconfig, host } = machine;
  const env = {
    ...process.env,
    CLAWSTORE_STATE_DIR: scope.path('state'),
    KUBECONFIG: kubeconfig,
    HOME: scope.directory,
  };
  const run = (command: string, args: readonly string[], input = ''): void => {
    const { status, stderr } = spawnSync(command, args, { env, input, encoding: 'utf8' });
    if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}: ${stderr}`);
  };
  const create = (name: string): void => {
    mkdirSync(join(host, name));
    run(CLAWSTORE, ['volume', 'create', name, '--type', 'hostpath', '--path', join(host, name)]);
  };
  for (let index = 0; index < LISTED; index++) create(`listed-${index}`);
  return [
    {
      name: 'cli-version',
      title: '`clawstore --version`',
      peer: '`kubectl version --client`',
      goal: { text: '< 150 ms', limit: 150, on: 'value' },
      ours: () => run(CLAWSTORE, ['--version']),
      other: () => run(kubectl, ['version', '--client']),
    },
    {
      name: 'cli-list',
      title: `\`clawstore volume list\` of ${LISTED}`,
      peer: '`kubectl get volumes`',
      goal: { text: '< 150 ms', limit: 150, on: 'value' },
      ours: () => run(CLAWSTORE, ['volume', 'list']),
      other: () => run(kubectl, ['get', 'volumes']),
    },
    {
      name: 'cli-create-mount',
      title: '`clawstore volume create` and `mount`, hostPath, until mounted',
      peer: '`kubectl apply`, `kubectl wait` for volume and mount',
      ours: (serial) => {
        create(serial);
        run(CLAWSTORE, ['volume', 'mount', serial, '--workload-id', 'w', '--mount-path', '/data']);
      },
      other: (serial) => {
        mkdirSync(join(host, serial));
        run(kubectl, ['apply', '-f', '-'], mountedHostPath(serial, join(host, serial)));
        const what = [`volume/${serial}`, `volumemount/${serial}`];
        run(kubectl, ['wait', '--for=condition=Ready', '--timeout=60s', ...what]);
      },
    },
  ];
}

function measure({ name, title, peer, goal, ours, other }: Pair, { options, progress }: Context): Measurement {
  const [mine, theirs]: [number[], number[]] = [[], []];
  for (let round = 0; round < options.rounds; round++) {
    for (let index = 0; index < COUNT; index++) {
      mine.push(timed(() => ours(`ours-${round}-${index}`)));
      theirs.push(timed(() => other(`other-${round}-${index}`)));
    }
    progress(`${name}, round ${round + 1}`);
  }
  const p99 = { ours: quantile(mine, 0.99), other: quantile(theirs, 0.99) };
  return {
    name,
    title,
    unit: 'ms',
    ours: mine,
    other: { title: peer, samples: theirs },
    of: 'median',
    ...(goal === undefined ? {} : { goal }),
    notes: { p99: { ...p99, ratio: p99.ours / p99.other } },
  };
}

function timed(act: () => void): number {
  const start = performance.now();
  act();
  return performance.now() - start;
}
