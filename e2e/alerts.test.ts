/** What a real Prometheus makes of the alerts and of the queries of the dashboard. */
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { SNAPSHOT_SCHEDULES, VOLUME_MOUNTS } from '../src/api/meta.ts';
import type { SnapshotSchedule } from '../src/api/schedule.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, snapshotSchedule, volume } from '../test/support/harness/manifests.ts';
import { type Alert, Prometheus } from '../test/support/harness/prometheus.ts';
import { waitFor } from '../test/support/harness/wait.ts';
import { metricsIn, RULES_FILE, readQueries, readRules } from '../test/support/monitoring.ts';

describe(`alerts and dashboard, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let prometheus: Prometheus;
  let ns: string;

  before(async () => {
    machine = await Machine.start();
    ns = await machine.namespace('alerts');
    await machine.create(volume(ns, 'data', { emptyDir: {}, capacity: '32Mi' }));
    await machine.create(mount(ns, 'data', 'data'));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/data`);
    const targets = [...new Set(machine.processes)].map(({ metricsPort }) => `127.0.0.1:${metricsPort}`);
    prometheus = await Prometheus.start(RULES_FILE, targets);
  });

  after(async () => {
    await prometheus?.end();
    await machine?.end();
  });

  const firing = async (alert: string): Promise<readonly Alert[]> => {
    const alerts = await prometheus.alerts();
    return alerts.filter(
      ({ state, labels }) => state === 'firing' && labels['alertname'] === alert && labels['namespace'] === ns,
    );
  };

  it('loads every rule, and can evaluate it', async () => {
    const names = readRules().map(({ alert }) => alert);
    const evaluated = async (): Promise<boolean> =>
      [...(await prometheus.rules()).values()].every((health) => health === 'ok');
    await waitFor(evaluated, { message: 'every rule to be evaluated' });
    expect([...(await prometheus.rules()).keys()]).to.have.members(names);
  });

  it('knows that all is well', async () => {
    const ready = async (): Promise<boolean> =>
      (await prometheus.query(`clawstore_volume_ready{namespace="${ns}",name="data"}`)).some(
        ({ value }) => value[1] === '1',
      );
    await waitFor(ready, { message: 'a scrape' });
    // The controller is another process than the agent, and is scraped at another time.
    const known = async (): Promise<boolean> => (await prometheus.query('clawstore_node_ready == 1')).length > 0;
    await waitFor(known, { message: 'a scrape of the controller' });
    const alerts = (await prometheus.alerts()).filter(({ labels }) => labels['namespace'] === ns);
    expect(alerts).to.deep.equal([]);
  });

  it('fires when a run was not started in time, and not any more when a later one has succeeded', async () => {
    // Once an hour, but not in the minutes that the test may run in: nothing comes due by itself.
    const schedule = `${(new Date().getUTCMinutes() + 30) % 60} * * * *`;
    const spec = { schedule, startingDeadlineSeconds: 60 };
    await machine.create(snapshotSchedule(ns, 'hourly', 'data', spec));
    await machine.waitReady<SnapshotSchedule>(SNAPSHOT_SCHEDULES, `${ns}/hourly`);
    // What a controller finds that was stopped for so long.
    await report({ lastScheduleTime: hoursAgo(5), lastSuccessfulTime: hoursAgo(5) });
    const alert = 'ClawstoreScheduleMissed';
    const missed = await waitFor(async () => (await firing(alert))[0], { message: 'the alert to fire' });
    expect(missed.labels).to.include({ kind: 'SnapshotSchedule', schedule: 'hourly', severity: 'warning' });
    expect(missed.annotations['summary']).to.contain(`${ns}/hourly was not started in time`);
    // Made up for, because it may be now.
    await machine.client.patch(
      SNAPSHOT_SCHEDULES,
      { namespace: ns, name: 'hourly' },
      { spec: { startingDeadlineSeconds: null } },
      { type: 'merge' },
    );
    const isMadeUpFor = async (): Promise<boolean> => {
      const { status } = await machine.get<SnapshotSchedule>(SNAPSHOT_SCHEDULES, `${ns}/hourly`);
      if (Date.parse(status?.lastSuccessfulTime ?? '') > Date.parse(hoursAgo(1))) return true;
      // The controller may write once more what it knew before the change.
      const isOld = Date.parse(status?.lastMissedTime ?? '') <= Date.parse(hoursAgo(3));
      if (!isOld) await report({ lastScheduleTime: hoursAgo(5), lastMissedTime: hoursAgo(4) });
      return false;
    };
    await waitFor(isMadeUpFor, { message: 'the schedule to have succeeded' });
    await waitFor(async () => (await firing(alert)).length === 0, { message: 'the alert to end' });
  });

  it('answers every query of the dashboard, with metrics that the product really has', async () => {
    const texts = await Promise.all([...new Set(machine.processes)].map((one) => one.http('/metrics')));
    const described = new Set(
      texts.flatMap(({ text }) => [...text.matchAll(/^# TYPE (\S+) /gm)].map(([, name]) => name ?? '')),
    );
    const has = (name: string): boolean =>
      described.has(name) || described.has(name.replace(/_(?:bucket|sum|count)$/, ''));
    const queries = readQueries();
    for (const query of queries) {
      expect(
        metricsIn(query).filter((name) => !has(name)),
        query,
      ).to.deep.equal([]);
    }
    const answers = async (): Promise<number> => {
      const samples = await Promise.all(queries.map((query) => prometheus.query(query)));
      return samples.filter(({ length }) => length > 0).length;
    };
    // Volumes, mounts, schedules, nodes and the loop are there, with two scrapes of each; repositories are not.
    await waitFor(async () => (await answers()) > 12, { message: 'more than 12 answers', instead: answers });
  });

  const hoursAgo = (hours: number): string => new Date(Date.now() - hours * 3_600_000).toISOString();

  async function report(status: object): Promise<void> {
    const ref = { namespace: ns, name: 'hourly' };
    await machine.client.patch(SNAPSHOT_SCHEDULES, ref, { status }, { type: 'merge', subresource: 'status' });
  }
});
