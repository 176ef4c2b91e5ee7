/** Ten thousand Backups as objects: listed by the command, and deleted by the retention of their schedule. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { toolPath } from '../../scripts/tools.ts';
import { type Api, collection, type ObjectShape } from '../support/api.ts';
import type { Case } from '../support/case.ts';
import { list, Machine } from '../support/machine.ts';

const COUNT = 10_000;
const AT_ONCE = 16;
const KEPT = 10;
const GROUP = 'storage.clawbernetes.io';
const API_VERSION = `${GROUP}/v1alpha1`;
const SCHEDULE = 'nightly';
const CLAWSTORE = join(import.meta.dirname, '../../bin/clawstore');
const HOUR_MS = 3_600_000;
const WAIT_MS = 600_000;

export const backupObjects: Case = {
  name: 'backup-objects',
  async run({ scope, options, progress }) {
    const machine = await Machine.create(scope);
    await machine.start();
    const api = await machine.api(AT_ONCE);
    const uid = await makeSchedule(api);
    await inParallel(COUNT, (index) => makeBackup(api, index, uid));
    progress(`${COUNT} Backups are there`);
    await settled(api);
    const kubectl = await toolPath('kubectl');
    const [ours, other]: [number[], number[]] = [[], []];
    for (let round = 0; round < options.rounds; round += 1) {
      ours.push(await timed(machine, CLAWSTORE, ['invoke', 'backup.list', '{}']));
      other.push(await timed(machine, kubectl, ['get', 'backups']));
    }
    const start = performance.now();
    await patch(api, 'backupschedules', SCHEDULE, { spec: { retention: { last: KEPT } } });
    await until(async () => (await list(api, 'backups', KEPT + 1)).length <= KEPT);
    const pruned = performance.now() - start;
    return [
      {
        name: 'backup-list-10000',
        title: `\`clawstore invoke backup.list\` of ${COUNT}`,
        unit: 'ms',
        ours,
        other: { title: '`kubectl get backups`', samples: other },
        of: 'median',
        goal: { text: '< 5 s', limit: 5_000, on: 'value' },
      },
      {
        name: 'backup-retention-10000',
        title: `the retention of a schedule takes ${COUNT - KEPT} of its ${COUNT} Backups away (objects without data)`,
        unit: 'ms',
        ours: [pruned],
        of: 'median',
        goal: { text: '< 60 s', limit: 60_000, on: 'value' },
      },
    ];
  },
};

async function makeSchedule(api: Api): Promise<string> {
  const template = { spec: { scope: 'Volumes', destination: '/srv/kept' } };
  const spec = { schedule: '0 2 * * *', suspend: true, template };
  const object = { apiVersion: API_VERSION, kind: 'BackupSchedule', metadata: { name: SCHEDULE }, spec };
  const made = JSON.parse(
    await api.request('POST', collection('backupschedules'), JSON.stringify(object)),
  ) as ObjectShape;
  return made.metadata.uid ?? '';
}

/** One that has succeeded. Paused, so that nobody begins it before it says so. */
async function makeBackup(api: Api, index: number, scheduleUID: string): Promise<void> {
  const at = new Date(Date.now() - (COUNT - index) * HOUR_MS).toISOString();
  const name = `${SCHEDULE}-${String(index).padStart(5, '0')}`;
  const metadata = {
    name,
    labels: { [`${GROUP}/schedule`]: SCHEDULE },
    annotations: {
      [`${GROUP}/paused`]: 'true',
      [`${GROUP}/schedule-uid`]: scheduleUID,
      [`${GROUP}/scheduled-at`]: at,
    },
  };
  const spec = { scope: 'Volumes', repositoryRef: { name: 'kept' } };
  const object = { apiVersion: API_VERSION, kind: 'Backup', metadata, spec };
  await api.request('POST', collection('backups'), JSON.stringify(object));
  const said = { status: 'True', message: '', observedGeneration: 1, lastTransitionTime: at };
  const conditions = [
    { type: 'Ready', reason: 'BackedUp', ...said },
    { type: 'DataComplete', reason: 'Complete', ...said },
  ];
  const status = { observedGeneration: 1, backupID: `${name}-1`, startTime: at, completionTime: at, conditions };
  await patch(api, 'backups', `${name}/status`, { status });
}

async function patch(api: Api, plural: 'backups' | 'backupschedules', path: string, change: object): Promise<void> {
  await api.request('PATCH', `${collection(plural)}/${path}`, JSON.stringify(change), 'application/merge-patch+json');
}

/** Until the controllers have nothing more to say of them. */
async function settled(api: Api): Promise<void> {
  const sum = async (): Promise<number> => [...(await api.writes()).values()].reduce((all, one) => all + one, 0);
  for (let last = -1, now = await sum(); now - last > 20; ) {
    await delay(2_000);
    [last, now] = [now, await sum()];
  }
}

async function inParallel(count: number, work: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error('it takes too long');
    await delay(50);
  }
}

/** Waited for without holding up this process, whose idle connections would be closed by the server meanwhile. */
async function timed({ scope, kubeconfig }: Machine, command: string, args: readonly string[]): Promise<number> {
  const env = {
    ...process.env,
    CLAWSTORE_STATE_DIR: scope.path('state'),
    KUBECONFIG: kubeconfig,
    HOME: scope.directory,
  };
  const start = performance.now();
  await promisify(execFile)(command, args, { env, maxBuffer: 2 ** 28 });
  return performance.now() - start;
}
