/** Agent and helper are killed at every step of taking a snapshot, and of making one volume from another. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { SNAPSHOTS, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Snapshot } from '../src/api/snapshot.ts';
import { CRASH_POINTS } from '../src/node/crash-points.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { isRunning } from '../test/support/harness/daemon.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, snapshot, volume } from '../test/support/harness/manifests.ts';
import { shareOf } from '../test/support/harness/run.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const DEADLINE_MS = 120_000;
const POINTS = CRASH_POINTS.filter((point) => /^(clone|snapshot)\./.test(point));
/** Those that are passed when a volume is made from another one, whose writers are held for it. */
const OF_FILLING = POINTS.filter((point) => point.startsWith('clone.'));

describe(`kills while snapshots are taken, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;

  before(async () => {
    machine = await Machine.start({ separate: true });
    ns = await machine.namespace('killed');
    await mounted('data', { emptyDir: {}, capacity: '256Mi' });
  });

  after(async () => {
    await machine?.end();
  });

  const keyOf = (name: string): string => `${ns}/${name}`;
  const fileOf = (name: string): string => join(machine.target(ns, name), 'file');

  async function mounted(name: string, spec: Parameters<typeof volume>[2]): Promise<void> {
    await machine.create(volume(ns, name, spec));
    await machine.create(mount(ns, name, name));
    await machine.waitReady(VOLUME_MOUNTS, keyOf(name), DEADLINE_MS);
  }

  async function remove(name: string): Promise<void> {
    await machine.delete(VOLUME_MOUNTS, keyOf(name));
    await machine.delete(VOLUMES, keyOf(name));
    await machine.waitGone(VOLUMES, keyOf(name), DEADLINE_MS);
  }

  /** Does something with an agent that dies at a place, and starts another one when it has. */
  async function killedAt(point: string, work: () => Promise<unknown>): Promise<void> {
    await machine.node.stop();
    const armed = await machine.startNode({ env: { CLAWSTORE_CRASH_AT: point } });
    const helper = await waitFor(() => armed.helperPid(), { message: 'a helper' });
    await work();
    const isDead = (): boolean => armed.exit !== undefined || !isRunning(helper);
    await waitFor(isDead, { message: `${point} to be reached`, deadline: DEADLINE_MS });
    await armed.killGroup();
    await machine.startNode();
  }

  const unfinished = (): readonly string[] => machine.stored('.new');
  const isClean = () =>
    waitFor(() => unfinished().length === 0, { message: 'what was half made to be removed', instead: unfinished });

  // The tests of the node layer and of the drivers meet these places too.
  for (const point of shareOf('snapshots', POINTS)) {
    it(`${point}: the snapshot is taken afterwards, whole, and the volume can be written to`, async () => {
      const name = point.replaceAll('.', '-');
      writeFileSync(fileOf('data'), point);
      await killedAt(point, () => machine.create(snapshot(ns, name, 'data')));
      const { metadata, status } = await machine.waitReady<Snapshot>(SNAPSHOTS, keyOf(name), DEADLINE_MS);
      expect(status?.readyToUse).to.equal(true);
      // Were it still frozen this would wait for ever.
      writeFileSync(fileOf('data'), 'written afterwards');
      await isClean();
      const dataSource = { snapshotRef: { name } };
      await mounted('look', { emptyDir: {}, capacity: '256Mi', dataSource });
      expect(readFileSync(fileOf('look'), 'utf8')).to.equal(point);
      await remove('look');
      await machine.delete(SNAPSHOTS, keyOf(name));
      await machine.waitGone(SNAPSHOTS, keyOf(name), DEADLINE_MS);
      expect(machine.stored(metadata.uid ?? '?')).to.deep.equal([]);
    });
  }

  for (const point of shareOf('filling', OF_FILLING)) {
    it(`${point}: a volume is made from the other afterwards, whole`, async () => {
      const dataSource = { volumeRef: { name: 'data' } };
      writeFileSync(fileOf('data'), point);
      await killedAt(point, () => machine.create(volume(ns, 'made', { emptyDir: {}, capacity: '256Mi', dataSource })));
      const { metadata } = await machine.waitReady(VOLUMES, keyOf('made'), DEADLINE_MS);
      writeFileSync(fileOf('data'), 'written afterwards');
      await isClean();
      await machine.create(mount(ns, 'made', 'made'));
      await machine.waitReady(VOLUME_MOUNTS, keyOf('made'), DEADLINE_MS);
      expect(readFileSync(fileOf('made'), 'utf8')).to.equal(point);
      await remove('made');
      expect(machine.stored(metadata.uid ?? '?')).to.deep.equal([]);
    });
  }

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
