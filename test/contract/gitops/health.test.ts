/**
 * What Flux (by kstatus, its library) and Argo CD (by our health check, run in its interpreter) make of our objects, in
 * every stage that tests have seen.
 *
 *   RECORD_OBJECTS=1 node scripts/test.ts …      adds stages to objects.jsonl
 *   RECORD_HEALTH=1 node scripts/test.ts --suite contract --spec test/contract/gitops/health.test.ts
 */
import { readFileSync, rmSync } from 'node:fs';
import { expect } from 'chai';
import { before, describe, it } from 'mocha';
import { ARGOCD_CONFIG, argocdConfig, HEALTH_CHECK } from '../../../scripts/argocd-health.ts';
import { toolPath } from '../../../scripts/tools.ts';
import { isTrue, kstatus } from '../../../src/api/conditions.ts';
import { API_VERSION } from '../../../src/api/group.ts';
import { type Condition, type KubeObjectBase, OUR_RESOURCES } from '../../../src/api/meta.ts';
import { exec } from '../../support/harness/exec.ts';
import { Kubectl } from '../../support/harness/kubectl.ts';
import { type Recorded, readRecorded, writeRecorded } from '../../support/harness/recorded-objects.ts';
import { makeDirectory } from '../../support/harness/run.ts';
import { SERVERS } from '../apiserver/servers.ts';

interface Verdict {
  readonly kstatus: string;
  readonly health: string;
  readonly message: string;
}

async function judge(objects: readonly KubeObjectBase[]): Promise<readonly Verdict[]> {
  const input = objects.map((object) => `${JSON.stringify(object)}\n`).join('');
  const { code, stdout, stderr } = await exec(await toolPath('clients'), ['judge', HEALTH_CHECK], { input });
  expect(code, stderr).to.equal(0);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Verdict);
}

/** What kstatus may call an object that Argo CD has this word for. */
const AGREEING: Readonly<Record<string, readonly string[]>> = {
  Healthy: ['Current'],
  Progressing: ['InProgress', 'Terminating'],
  // A schedule that starts no runs is as it should be; what somebody has paused does not get there.
  Suspended: ['Current', 'InProgress'],
  // Beside what failed: a node that is lost, a schedule whose last run failed, a workload with a dead mount.
  Degraded: ['Failed', 'InProgress', 'Current'],
};

/** The kind that nobody acts on: it has no status. */
const NOBODYS = 'VolumeClass';

const title = ({ object, stage }: Recorded): string => `${object.kind}: ${stage}`;

describe('what Flux and Argo CD make of our objects', () => {
  let recorded: readonly Recorded[];
  let verdicts: readonly Verdict[];

  before(async () => {
    recorded = readRecorded();
    verdicts = await judge(recorded.map(({ object }) => object));
    if (process.env['RECORD_HEALTH'] !== '1') return;
    recorded = recorded.map(({ stage, object }, index) => ({ stage, ...verdicts[index], object }));
    writeRecorded(recorded);
  });

  it('is what people have looked at', () => {
    recorded.forEach((one, index) => {
      const { kstatus: wanted, health, message } = one;
      expect(verdicts[index], title(one)).to.deep.equal({ kstatus: wanted, health, message });
    });
  });

  it('agrees with each other and with the conditions', () => {
    recorded.forEach((one, index) => {
      const { metadata, status } = one.object;
      const verdict = verdicts[index];
      const conditions = status?.conditions;
      expect(AGREEING[verdict?.health ?? ''], title(one)).to.include(verdict?.kstatus);
      if (one.object.kind !== NOBODYS) expect(kstatus(one.object), title(one)).to.equal(verdict?.kstatus);
      if (metadata.deletionTimestamp !== undefined) {
        expect(verdict, title(one)).to.include({ kstatus: 'Terminating', health: 'Progressing' });
      } else if (status !== undefined && status.observedGeneration !== metadata.generation) {
        expect(verdict, title(one)).to.include({ kstatus: 'InProgress', health: 'Progressing' });
      } else if (isTrue<string>(conditions, 'Stalled')) {
        expect(verdict, title(one)).to.include({ kstatus: 'Failed', health: 'Degraded' });
      } else if (isTrue<string>(conditions, 'Reconciling')) {
        expect(verdict, title(one)).to.include({ kstatus: 'InProgress' });
        expect(verdict?.health, title(one)).to.be.oneOf(['Progressing', 'Degraded']);
      } else if (isTrue<string>(conditions, 'Ready')) {
        expect(verdict, title(one)).to.include({ kstatus: 'Current' });
        expect(verdict?.health, title(one)).to.not.equal('Progressing');
      }
      if (verdict?.health !== 'Healthy') expect(verdict?.message, title(one)).to.not.equal('');
    });
  });

  it('was asked for every kind that has a status, ready and on its way, and for what fails and is deleted', () => {
    const seen = (kind: string, word: string): boolean =>
      recorded.some(({ object }, index) => object.kind === kind && verdicts[index]?.health === word);
    for (const { kind } of OUR_RESOURCES.filter((resource) => resource.kind !== NOBODYS)) {
      expect(seen(kind, 'Healthy') || seen(kind, 'Suspended'), `${kind} Healthy`).to.equal(true);
      expect(seen(kind, 'Progressing'), `${kind} Progressing`).to.equal(true);
    }
    for (const kind of ['Volume', 'VolumeMount', 'Snapshot', 'BackupRepository', 'Backup', 'Restore']) {
      expect(seen(kind, 'Degraded'), `${kind} Degraded`).to.equal(true);
    }
    expect(recorded.filter(({ object }) => object.metadata.deletionTimestamp !== undefined)).to.have.length.above(5);
  });

  describe('of what is rarely seen', () => {
    const condition = (type: string, status: Condition['status'], reason: string, message: string): Condition => ({
      type,
      status,
      reason,
      message,
      lastTransitionTime: '2026-01-01T00:00:00Z',
      observedGeneration: 1,
    });
    const object = (kind: string, conditions: readonly Condition[], more: object = {}): KubeObjectBase =>
      ({
        apiVersion: API_VERSION,
        kind,
        metadata: { name: 'one', generation: 1 },
        status: { observedGeneration: 1, conditions, ...more },
      }) as KubeObjectBase;
    const ready = (reason = 'Ready', message = ''): Condition => condition('Ready', 'True', reason, message);
    const failedRun = 'The last run, nightly-1, failed: no space';
    const cases: readonly (readonly [string, KubeObjectBase, Partial<Verdict>])[] = [
      [
        'a VolumeClass',
        { apiVersion: API_VERSION, kind: 'VolumeClass', metadata: { name: 'default', generation: 3 } },
        { kstatus: 'Current', health: 'Healthy' },
      ],
      [
        'an object that the server has just taken',
        object('Volume', [], { observedGeneration: -1 }),
        { kstatus: 'InProgress', health: 'Progressing', message: 'Nobody has acted on it yet.' },
      ],
      [
        'an object without any status',
        { apiVersion: API_VERSION, kind: 'Volume', metadata: { name: 'one', generation: 1 } },
        { health: 'Progressing' },
      ],
      [
        'a lost node',
        object('StorageNode', [condition('Ready', 'Unknown', 'NodeLost', 'no word')]),
        { kstatus: 'InProgress', health: 'Degraded', message: 'NodeLost: no word' },
      ],
      [
        'a paused volume',
        object('Volume', [condition('Ready', 'Unknown', 'Paused', 'wait')]),
        { kstatus: 'InProgress', health: 'Suspended', message: 'Paused: wait' },
      ],
      [
        'a suspended schedule',
        object('BackupSchedule', [ready('Suspended')]),
        { kstatus: 'Current', health: 'Suspended' },
      ],
      [
        'a schedule whose last run failed',
        object('SnapshotSchedule', [ready('Ready', failedRun)]),
        { kstatus: 'Current', health: 'Degraded', message: failedRun },
      ],
      [
        'a schedule whose last run failed, and which runs again',
        object('SnapshotSchedule', [ready('Ready', failedRun)], { active: [{ name: 'nightly-2', uid: 'u' }] }),
        { kstatus: 'Current', health: 'Healthy', message: failedRun },
      ],
      [
        'a mount that a workload sees a dead copy of',
        object('VolumeMount', [ready('Mounted'), condition('Healthy', 'False', 'StaleInWorkload', 'pid 7')]),
        { kstatus: 'Current', health: 'Degraded', message: 'StaleInWorkload: pid 7' },
      ],
      [
        'a deletion that something is in the way of',
        {
          ...object('Volume', [condition('DeletionBlocked', 'True', 'VolumeInUse', 'a mount uses it')]),
          metadata: { name: 'one', generation: 2, deletionTimestamp: '2026-01-01T00:00:00Z' },
        },
        { kstatus: 'Terminating', health: 'Progressing', message: 'VolumeInUse: a mount uses it' },
      ],
      [
        'a repository whose key nobody keeps',
        object('BackupRepository', [ready(), condition('KeyExported', 'False', 'KeyNotExported', 'export it')]),
        { kstatus: 'Current', health: 'Healthy', message: 'export it' },
      ],
    ];
    for (const [name, thing, wanted] of cases) {
      it(name, async () => expect((await judge([thing]))[0]).to.include(wanted));
    }
  });

  it('stands in the ConfigMap for each of our kinds', () => {
    expect(readFileSync(ARGOCD_CONFIG, 'utf8'), 'node scripts/argocd-health.ts').to.equal(argocdConfig());
  });

  for (const { name, start } of SERVERS) {
    it(`is added to what Argo CD has in its ConfigMap, at the ${name} API server`, async function () {
      this.timeout(120_000);
      const home = makeDirectory('argocd');
      const kubectl = await Kubectl.for((await start()).kubeconfig, home);
      const metadata = { name: 'argocd-cm', namespace: 'argocd', labels: { 'app.kubernetes.io/part-of': 'argocd' } };
      const theirs = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { url: 'https://argocd.example.com' } };
      await kubectl.run(['create', 'namespace', 'argocd']);
      await kubectl.apply([theirs]);
      const ours = ['--server-side', '--field-manager=clawstore', '-f', ARGOCD_CONFIG];
      await kubectl.run(['apply', ...ours]);
      await kubectl.apply([theirs]);
      const { code, stdout, stderr } = await kubectl.try(['diff', ...ours]);
      expect(code, stdout + stderr).to.equal(0);
      const read = await kubectl.run(['get', 'configmap', 'argocd-cm', '-n', 'argocd', '-o', 'json']);
      const { data } = JSON.parse(read) as { readonly data: Readonly<Record<string, string>> };
      expect(data).to.include(theirs.data);
      expect(Object.keys(data)).to.include.members(
        OUR_RESOURCES.map(({ group, kind }) => `resource.customizations.health.${group}_${kind}`),
      );
      await kubectl.run(['delete', 'namespace', 'argocd', '--timeout=60s']);
      rmSync(home, { recursive: true });
    });
  }
});
