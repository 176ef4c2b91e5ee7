/** What Prometheus and probes get. */
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { toolPath } from '../scripts/tools.ts';
import { VOLUME_MOUNTS } from '../src/api/meta.ts';
import type { Clawstore } from '../test/support/harness/clawstore.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { exec } from '../test/support/harness/exec.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { waitFor } from '../test/support/harness/wait.ts';

describe(`metrics and health, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;

  before(async () => {
    machine = await Machine.start();
    ns = await machine.namespace('metrics');
    await machine.create(volume(ns, 'image', { emptyDir: {}, capacity: '32Mi' }));
    await machine.create(mount(ns, 'image', 'image'));
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/image`);
  });

  after(async () => {
    await machine?.end();
  });

  const each = async (look: (one: Clawstore) => Promise<void>): Promise<void> => {
    for (const one of new Set(machine.processes)) await look(one);
  };

  it('serves metrics that promtool finds nothing to say about', async () => {
    const promtool = await toolPath('promtool');
    await each(async (one) => {
      const { status, text, type } = await one.http('/metrics');
      expect(status).to.equal(200);
      expect(type).to.match(/^text\/plain|^application\/openmetrics-text/);
      const { code, stdout, stderr } = await exec(promtool, ['check', 'metrics'], { input: text });
      expect(`${one.name}: ${stdout}${stderr}`).to.equal(`${one.name}: `);
      expect(code).to.equal(0);
    });
  });

  it('has the metrics of controller-runtime, from the start at 0', async () => {
    const { text } = await machine.node.http('/metrics');
    for (const name of [
      'controller_runtime_reconcile_total',
      'controller_runtime_reconcile_errors_total',
      'controller_runtime_reconcile_time_seconds_bucket',
      'controller_runtime_active_workers',
      'workqueue_depth',
      'workqueue_adds_total',
      'rest_client_requests_total',
    ]) {
      expect(text, name).to.match(new RegExp(`^${name}\\{`, 'm'));
    }
    // There is no snapshot that it could have failed with.
    expect(text).to.match(/^controller_runtime_reconcile_errors_total\{controller="snapshot"[^}]*\} 0$/m);
  });

  it('says of each volume and mount whether it is well', async () => {
    const labels = { namespace: ns, name: 'image' };
    const expected = [
      ['clawstore_volume_ready', 1],
      ['clawstore_volume_capacity_bytes', 32 * 1024 * 1024],
      ['clawstore_mount_healthy', 1],
    ] as const;
    for (const [name, value] of expected) {
      // The status is written first.
      await waitFor(async () => (await machine.node.metric(name, labels)) === value, { message: `${name} ${value}` });
    }
    const operations = await machine.node.metric('clawstore_mount_operation_duration_seconds_count', {
      operation: 'publish',
      result: 'success',
    });
    expect(operations).to.be.greaterThan(0);
    expect(await machine.node.metric('clawstore_build_info')).to.equal(1);
  });

  it('forgets a volume that is gone', async () => {
    const labels = { namespace: ns, name: 'image' };
    await machine.deleteAll();
    await waitFor(async () => !(await machine.node.http('/metrics')).text.includes(`namespace="${ns}"`), {
      message: `no series of ${JSON.stringify(labels)}`,
    });
  });

  it('answers healthz and readyz, with each check when asked', async () => {
    await each(async (one) => {
      for (const path of ['/healthz', '/readyz']) {
        expect(await one.http(path)).to.deep.include({ status: 200, text: 'ok' });
        const verbose = await one.http(`${path}?verbose`);
        expect(verbose.text)
          .to.match(/^\[\+\].* ok$/m)
          .and.to.include('check passed');
      }
    });
  });

  it('answers 404 elsewhere, and only to GET', async () => {
    expect((await machine.node.http('/secrets')).status).to.equal(404);
    const response = await fetch(`http://127.0.0.1:${machine.node.metricsPort}/metrics`, { method: 'POST' });
    expect(response.status).to.equal(405);
  });
});
