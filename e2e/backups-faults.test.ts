/** Backups that are stopped: by people, by their deadline, by kills. */
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, afterEach, before, describe, it } from 'mocha';
import type { Backup, BackupConditionType, BackupSpec, VolumeBackup } from '../src/api/backup.ts';
import { hasEnded } from '../src/api/backup.ts';
import { findCondition } from '../src/api/conditions.ts';
import { BACKUPS, VOLUME_BACKUPS, VOLUME_MOUNTS } from '../src/api/meta.ts';
import {
  BareRepository,
  backup,
  deleteBackups,
  ended,
  makeRepository,
  useRestic,
} from '../test/support/harness/backups.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { waitFor } from '../test/support/harness/wait.ts';

describe('backups that are stopped', function () {
  this.timeout(300_000);
  let machine: Machine;
  let ns: string;
  let repository: Pick<BackupSpec, 'repositoryRef'>;

  before(async () => {
    useRestic();
    machine = await Machine.start({ separate: true });
    ns = await machine.namespace('backups-stopped');
    repository = await makeRepository(machine, ns);
    await machine.create(volume(ns, 'data', { emptyDir: {}, capacity: '64Mi' }));
    await machine.create(mount(ns, 'data', 'data'));
    await machine.waitReady(VOLUME_MOUNTS, keyOf('data'));
    for (let index = 0; index < 8; index += 1) {
      writeFileSync(join(machine.target(ns, 'data'), `file-${index}`), randomBytes(1024 * 1024));
    }
    execFileSync('sync');
  });

  after(async () => {
    if (machine === undefined) return;
    await deleteBackups(machine, ns);
    await machine.end();
  });

  afterEach(() => machine.restartWhatEnded());

  const keyOf = (name: string): string => `${ns}/${name}`;
  const said = ({ status }: Backup, type: BackupConditionType): string => {
    const condition = findCondition(status?.conditions, type);
    return condition === undefined ? 'absent' : `${condition.status} ${condition.reason}`;
  };
  /** One that uploads so slowly that it can be met: at 32k it would take four minutes. */
  const begin = async (name: string, bandwidth: string, spec: Partial<Backup['spec']> = {}): Promise<void> => {
    await machine.create(backup(ns, name, { ...repository, limits: { bandwidth }, ...spec }));
    await machine.waitFor<Backup>(
      BACKUPS,
      keyOf(name),
      // On a busy machine its deadline may come before it has read anything.
      (seen) => (seen.status?.progress?.bytesDone ?? 0) > 0 || hasEnded(seen),
      'to read',
      150_000,
    );
  };
  const bare = async (name: string): Promise<BareRepository> => {
    const { status } = await machine.get<Backup>(BACKUPS, keyOf(name));
    return BareRepository.of(machine, ns, status?.repositoryRef?.name ?? '');
  };
  const engines = (): string =>
    execFileSync('sh', ['-c', `ps -eo args | grep -v grep | grep 'restic.*backup' || true`], { encoding: 'utf8' });
  /** Far sooner than an engine that goes on would be done. */
  const noEngineRuns = () =>
    waitFor(() => engines() === '', { deadline: 30_000, message: 'the engine to end', instead: engines });
  const partsOf = async (name: string): Promise<readonly VolumeBackup[]> => {
    const { items } = await machine.client.list<VolumeBackup>(VOLUME_BACKUPS, { namespace: ns });
    return items.filter(({ spec }) => spec.backupRef.name === name);
  };
  /** Nothing of a part is on the node: no mount, no image, no record. */
  const nothingIsLeft = async (name: string): Promise<void> => {
    for (const { metadata } of await partsOf(name)) {
      const left = (): string =>
        execFileSync('find', [machine.directory, '-name', `*${metadata.uid}*`], { encoding: 'utf8' });
      await waitFor(() => left() === '', {
        deadline: 120_000,
        message: `what was made for ${name} to be gone`,
        instead: left,
      });
    }
  };

  it('end by cancel: no engine runs, no lock is left, nothing is left on the node', async () => {
    await begin('cancelled', '32k');
    await machine.patch(BACKUPS, keyOf('cancelled'), { spec: { cancel: true } });
    const made = await ended(machine, keyOf('cancelled'));
    expect([said(made, 'Ready'), said(made, 'Stalled')]).to.deep.equal(['False Cancelled', 'True Cancelled']);
    await noEngineRuns();
    const kept = await bare('cancelled');
    const locks = (): string => kept.restic('list', 'locks').trim();
    // There is one for as long as somebody looks at it.
    await waitFor(() => locks() === '', { message: 'no lock to be left', instead: locks });
    expect(kept.snapshots()).to.deep.equal([]);
    await nothingIsLeft('cancelled');
  });

  it('end by their deadline', async () => {
    await begin('late', '32k', { activeDeadlineSeconds: 25 });
    const made = await ended(machine, keyOf('late'));
    expect(said(made, 'Stalled')).to.equal('True DeadlineExceeded');
    await noEngineRuns();
    await nothingIsLeft('late');
  });

  it('go on after the agent and all that it runs was killed, and bring back what there was', async () => {
    await begin('killed', '512k');
    await machine.node.killGroup();
    await machine.startNode();
    const made = await ended(machine, keyOf('killed'), 150_000);
    expect(said(made, 'Ready'), JSON.stringify(made.status)).to.equal('True BackedUp');
    const kept = await bare('killed');
    const restored = kept.restoreVolume(made.status?.backupID ?? '', 'data');
    const digests = (directory: string) =>
      Array.from({ length: 8 }, (_, index) =>
        createHash('sha256')
          .update(readFileSync(join(directory, `file-${index}`)))
          .digest('hex'),
      );
    expect(digests(restored)).to.deep.equal(digests(machine.target(ns, 'data')));
    await nothingIsLeft('killed');
  });

  it('go on after the controller was killed', async () => {
    await begin('controlled', '2M');
    await machine.controller.kill();
    await machine.restartWhatEnded();
    const made = await ended(machine, keyOf('controlled'), 150_000);
    expect(said(made, 'Ready'), JSON.stringify(made.status)).to.equal('True BackedUp');
    expect(await partsOf('controlled')).to.have.length(1);
    const tags = [`id=${made.status?.backupID}`, 'kind=backup'];
    const documents = (await bare('controlled'))
      .snapshots()
      .filter((one) => tags.every((tag) => one.tags?.includes(tag)));
    expect(documents).to.have.length(1);
  });

  it('are cancelled when they are deleted while they run', async () => {
    await begin('deleted', '32k', { deletionPolicy: 'Delete' });
    await machine.delete(BACKUPS, keyOf('deleted'));
    await machine.waitGone(BACKUPS, keyOf('deleted'), 90_000);
    await noEngineRuns();
  });
});
