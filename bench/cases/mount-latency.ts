/** One mount of a volume that is there, from the request until it is seen Ready, beside the bare commands. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import type { Case, Context, Measurement } from '../support/case.ts';
import { mountLatency } from '../support/client.ts';
import { list, Machine } from '../support/machine.ts';
import type { PairPlan } from '../support/objects.ts';
import { Engine, S3, SECRET, until } from '../support/s3.ts';
import type { Scope } from '../support/scope.ts';

/** Mounts of each driver in one round. */
const COUNT = 10;

interface Plan {
  readonly name: string;
  readonly title: string;
  readonly source: PairPlan['source'];
  readonly bare: { readonly title: string; readonly mount: (name: string) => Promise<number> };
}

export const mountLatencies: Case = {
  name: 'mount-latency',
  async run(context) {
    const { scope } = context;
    const s3 = await S3.start(scope);
    const machine = await Machine.create(scope);
    machine.makeSources(COUNT);
    await machine.start();
    const api = await machine.api(2);
    await s3.createSecret(api);
    const measurements: Measurement[] = [];
    for (const plan of plans(scope, machine, s3)) measurements.push(await measure(plan, machine, context));
    return measurements;
  },
};

async function measure(plan: Plan, machine: Machine, { options, progress }: Context): Promise<Measurement> {
  const { name, title, source, bare } = plan;
  const api = await machine.api(16);
  const [ours, other]: [number[], number[]] = [[], []];
  for (let round = 0; round < options.rounds; round++) {
    const prefix = `${name}-${round}`;
    const { kubeconfig } = machine;
    const { latencies } = await mountLatency({
      kubeconfig,
      plan: { prefix, count: COUNT, source },
      timeoutMs: 120_000,
    });
    ours.push(...latencies);
    for (let index = 0; index < COUNT; index++) other.push(await bare.mount(`${prefix}-${index}`));
    await machine.deleteAll(api);
    progress(`${name}, round ${round + 1}`);
  }
  return {
    name: `mount-latency-${name}`,
    title: `one mount of a volume that is there, until Ready: ${title}`,
    unit: 'ms',
    ours,
    other: { title: bare.title, samples: other },
    of: 'median',
  };
}

function plans(scope: Scope, machine: Machine, s3: S3): readonly Plan[] {
  const bind = ['mount', '--bind'] as const;
  const directory = (name: string): string => {
    mkdirSync(scope.path('bare', name), { recursive: true });
    return scope.path('bare', name);
  };
  const image = scope.path('bare.img');
  return [
    {
      name: 'hostpath',
      title: 'hostPath',
      source: { type: 'hostPath', directory: machine.host },
      bare: {
        title: '`mount --bind`',
        mount: (name) => timed(() => command(...bind, machine.host, directory(name)), [directory(name)]),
      },
    },
    {
      name: 'emptydir-memory',
      title: 'emptyDir in memory',
      source: { type: 'emptyDir', capacity: '16Mi', medium: 'Memory' },
      bare: {
        title: '`mount -t tmpfs`',
        mount: (name) =>
          timed(() => command('mount', '-t', 'tmpfs', '-o', 'size=16m', name, directory(name)), [directory(name)]),
      },
    },
    {
      name: 'emptydir-image',
      title: 'emptyDir with a size (an image that is there)',
      source: { type: 'emptyDir', capacity: '1Gi' },
      bare: {
        title: '`mount -o loop`, `mount --bind`',
        mount: (name) => {
          const [stage, target] = [directory(`${name}-stage`), directory(name)];
          spawnSync('sh', ['-c', '[ -e "$0" ] || { truncate -s 1G "$0"; mkfs.xfs -q "$0"; }', image]);
          const work = (): void => {
            command('mount', '-o', 'loop,discard,noatime', image, stage);
            command(...bind, stage, target);
          };
          return timed(work, [target, stage]);
        },
      },
    },
    {
      name: 's3',
      title: 's3',
      source: { type: 's3', bucket: s3.bucket, endpoint: s3.endpoint, secret: SECRET },
      bare: {
        title: 'rclone with the same flags until it has mounted, `mount --bind`',
        mount: async (name) => {
          const api = await machine.api(1);
          const [volume] = await list(api, 'volumes', 1);
          const engine = new Engine(scope.path('state'), volume?.metadata.uid ?? '');
          const target = directory(name);
          const start = performance.now();
          const byHand = engine.startByHand(scope, s3, `hand-${name}`);
          await until('rclone to mount', () => byHand.mounted());
          command(...bind, byHand.target, target);
          const took = performance.now() - start;
          for (const path of [target, byHand.target]) command('umount', path);
          await byHand.started.stop();
          return took;
        },
      },
    },
  ];
}

function command(program: string, ...args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr}`);
}

/** Milliseconds that the work took; what it mounted is taken down again, untimed. */
function timed(work: () => void, targets: readonly string[]): Promise<number> {
  const start = performance.now();
  work();
  const took = performance.now() - start;
  for (const target of targets) command('umount', target);
  return Promise.resolve(took);
}
