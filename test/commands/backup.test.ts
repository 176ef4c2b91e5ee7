import { createHash } from 'node:crypto';
import { expect } from 'chai';
import { after, afterEach, before, beforeEach, describe, it } from 'mocha';
import type { Backup, BackupSpec, BackupStatus } from '../../src/api/backup.ts';
import { API_VERSION, LABELS } from '../../src/api/group.ts';
import { BACKUP_REPOSITORIES, BACKUPS, RESTORES, VOLUMES } from '../../src/api/meta.ts';
import type { Restore, RestoreStatus } from '../../src/api/restore.ts';
import { backupCancel } from '../../src/commands/backup/cancel.ts';
import { backupCreateDetailed } from '../../src/commands/backup/create.ts';
import { backupDelete } from '../../src/commands/backup/delete.ts';
import { backupListSome } from '../../src/commands/backup/list.ts';
import { backupRestoreDetailed } from '../../src/commands/backup/restore.ts';
import { CommandError } from '../../src/commands/command-error.ts';
import { invoke, runCommand } from '../../src/commands/registry.ts';
import { condition } from '../controllers/support/objects.ts';
import { CommandServer, failing, type Place } from './command-server.ts';

const START = '2026-01-01T02:00:00Z';
const END = '2026-01-01T02:10:00Z';
const SHORT_MS = 300;
const DAILY = { scope: 'full', destination: 's3://backups/daily' } as const;

/** What the controller says at first, and in the end. */
const running = ({ metadata }: Backup): BackupStatus => ({
  observedGeneration: metadata.generation ?? 1,
  backupID: `${metadata.name}-0a1b2c3d`,
  repositoryRef: { name: 'main' },
  startTime: START,
  progress: { bytesDone: 1, bytesTotal: 4, filesDone: 1, filesTotal: 2, bytesPerSecond: 1 },
  conditions: [
    condition('Ready', 'False', 'Reconciling', 'One of two volumes is read.'),
    condition('Reconciling', 'True', 'Reconciling'),
  ],
});
const whole = (backup: Backup): BackupStatus => ({
  ...running(backup),
  completionTime: END,
  items: { succeeded: 3, failed: 0, skipped: 0 },
  uploadedBytes: 4,
  conditions: [condition('Ready', 'True', 'Ready'), condition('DataComplete', 'True', 'Ready')],
});
const failed = (backup: Backup): BackupStatus => ({
  ...running(backup),
  completionTime: END,
  conditions: [
    condition('Ready', 'False', 'DataMissing', 'Two files could not be read: a, b.'),
    condition('Stalled', 'True', 'DataMissing', 'Two files could not be read: a, b.'),
  ],
});

/** Says it once. */
const first =
  (status: (backup: Backup) => BackupStatus) =>
  (backup: Backup): BackupStatus | undefined =>
    backup.status?.backupID === undefined ? status(backup) : undefined;

/** What a request is known by. */
const hash = (requestId: string): string => createHash('sha256').update(requestId).digest('hex').slice(0, 16);

/** Calls until it is answered: before somebody has acted, nobody can say that it goes on. */
async function answered(call: () => Promise<unknown>): Promise<unknown> {
  for (;;) {
    try {
      return await call();
    } catch (thrown) {
      if (!(thrown instanceof CommandError) || thrown.code !== 'Timeout') throw thrown;
    }
  }
}

describe('the commands of backups', function () {
  this.timeout(120_000);
  let server: CommandServer;
  let place: Place;

  before(async () => {
    server = await CommandServer.start();
  });
  beforeEach(async () => {
    place = await server.place();
  });
  afterEach(async () => {
    await place.end();
  });
  after(async () => {
    await server.end();
  });

  async function add(name: string, status: (backup: Backup) => BackupStatus, spec: object = {}): Promise<Backup> {
    const backup = await place.create<Backup>(BACKUPS, name, {
      scope: 'Full',
      destination: DAILY.destination,
      ...spec,
    });
    await place.report(BACKUPS, name, status(backup));
    return backup;
  }

  describe('backup.create', () => {
    it('answers when all of it is in the repository', async () => {
      place.answer<Backup>(BACKUPS, first(whole));
      const result = await invoke('backup.create', DAILY, place.context());
      const [made] = await place.list<Backup>(BACKUPS);
      expect(made?.spec).to.deep.equal({ scope: 'Full', destination: DAILY.destination });
      expect(made?.metadata.name).to.match(/^backup-\d{8}-1$/);
      expect(result).to.deep.equal({
        backupId: `${made?.metadata.name}-0a1b2c3d`,
        ...DAILY,
        state: 'succeeded',
        success: true,
        warnings: [],
        items: { succeeded: 3, failed: 0, skipped: 0 },
        uploadedBytes: 4,
      });
    });

    it('backs up what the scope says', async () => {
      place.answer<Backup>(BACKUPS, first(whole));
      for (const scope of ['volumes', 'configs', 'full']) {
        expect(await invoke('backup.create', { ...DAILY, scope }, place.context())).to.include({ scope });
      }
      const made = await place.list<Backup>(BACKUPS);
      expect(made.map(({ spec }) => spec.scope)).to.have.members(['Volumes', 'Configs', 'Full']);
    });

    it('tells that it goes on when the time of the call is over, and the same call again tells how it went', async () => {
      place.answer<Backup>(BACKUPS, first(running));
      const context = place.context(SHORT_MS);
      const begun = await answered(() => invoke('backup.create', DAILY, context));
      expect(begun).to.deep.include({ state: 'running', success: false, message: 'One of two volumes is read.' });
      expect(begun).to.have.property('progress').which.includes({ bytesDone: 1, bytesTotal: 4 });
      expect(await answered(() => invoke('backup.create', DAILY, context))).to.deep.equal(begun);
      const [made, ...more] = await place.list<Backup>(BACKUPS);
      expect(more).to.deep.equal([]);
      if (made === undefined) throw new Error('there is none');
      // The same code, which tells what it waits for: that ends only when it is waited for.
      const third = backupCreateDetailed(({ status }) => {
        if (status?.completionTime === undefined) void place.report(BACKUPS, made.metadata.name, whole(made));
      });
      expect(await runCommand(third, DAILY, place.context())).to.deep.include({
        backupId: `${made.metadata.name}-0a1b2c3d`,
        state: 'succeeded',
      });
    });

    it('begins one backup, however many ask at a time', async () => {
      place.answer<Backup>(BACKUPS, first(running));
      const calls = Array.from({ length: 8 }, () =>
        answered(() => invoke('backup.create', DAILY, place.context(SHORT_MS))),
      );
      const ids = (await Promise.all(calls)).map((result) => (result as { readonly backupId: string }).backupId);
      expect(new Set(ids).size)
        .to.equal((await place.list<Backup>(BACKUPS)).length)
        .and.to.be.below(3);
    });

    it('does not take another backup that runs for its own', async () => {
      const others: readonly Partial<BackupSpec>[] = [
        { destination: 's3://backups/weekly' },
        { scope: 'Volumes' },
        { volumeRefs: [{ name: 'one' }] },
        { ttl: '1h' },
        { onPartial: 'Allow' },
        { deletionPolicy: 'Delete' },
      ];
      for (const [index, spec] of others.entries()) {
        const all = { scope: 'Full', destination: DAILY.destination, ...spec };
        const labels = { [LABELS.managedBy]: 'clawstore' };
        const other = await place.create<Backup>(BACKUPS, `other-${index}`, all, labels);
        await place.report(BACKUPS, `other-${index}`, running(other));
      }
      // By hand, the very same: it is not the command's either.
      await add('by-hand', running);
      place.answer<Backup>(BACKUPS, first(whole));
      expect(await invoke('backup.create', DAILY, place.context())).to.include({ state: 'succeeded' });
      expect(await place.list<Backup>(BACKUPS)).to.have.length(others.length + 2);
    });

    it('is answered under another name of the request, too, for the one that goes on', async () => {
      place.answer<Backup>(BACKUPS, first(running));
      const ask = (requestId: string): Promise<unknown> =>
        answered(() => invoke('backup.create', DAILY, place.context(SHORT_MS, { requestId })));
      const begun = await ask('call 1');
      expect(await ask('call 2')).to.deep.equal(begun);
      expect(await place.list(BACKUPS)).to.have.length(1);
    });

    it('answers the same request for what it began, also after that has ended', async () => {
      place.answer<Backup>(BACKUPS, first(whole));
      const context = place.context(30_000, { requestId: 'request 1, of whatever form ✓' });
      const begun = await invoke('backup.create', DAILY, context);
      expect(await invoke('backup.create', DAILY, context)).to.deep.equal(begun);
      expect(await place.list(BACKUPS)).to.have.length(1);
      await invoke('backup.create', DAILY, { ...context, requestId: 'request 2' });
      expect(await place.list(BACKUPS)).to.have.length(2);
      const error = await failing(invoke('backup.create', { ...DAILY, scope: 'configs' }, context));
      expect(error.code).to.equal('InvalidParameter');
    });

    it('is an error that says what is lacking when it has failed, and a new backup the next time', async () => {
      place.answer<Backup>(BACKUPS, first(failed));
      for (const count of [1, 2]) {
        const error = await failing(invoke('backup.create', DAILY, place.context()));
        expect([error.code, error.reason]).to.deep.equal(['Stalled', 'DataMissing']);
        expect(error.message).to.contain('Two files could not be read: a, b.').and.contain('0a1b2c3d');
        expect(await place.list(BACKUPS)).to.have.length(count);
      }
    });

    it('does not say that it goes on when nobody has acted on it', async () => {
      // Long enough for a busy server to say how it stands.
      const error = await failing(invoke('backup.create', DAILY, place.context(3_000)));
      expect(error.code).to.equal('Timeout');
      expect(error.message).to.contain('nothing has acted on it yet');
    });

    it('warns while the key is kept only here, and of what the backup says itself', async () => {
      const warnings = ['volume "tmp" is in memory'];
      const asItBegan = [...warnings, 'The key was never exported. Run "clawstore repository export-key main".'];
      place.answer<Backup>(
        BACKUPS,
        first((backup) => ({ ...whole(backup), warnings: asItBegan })),
      );
      const encryption = { secretRef: { name: 'key' } };
      await place.create(BACKUP_REPOSITORIES, 'main', { s3: { bucket: 'backups' }, encryption });
      const [own, ofKey, ...more] = await warningsNow();
      expect([own, more]).to.deep.equal([warnings[0], []]);
      expect(ofKey).to.contain('losing this disk loses').and.contain('clawstore repository export-key main');
      const conditions = (status: 'True' | 'False') => ({ conditions: [condition('KeyExported', status, 'Ready')] });
      await place.report(BACKUP_REPOSITORIES, 'main', conditions('False'));
      expect(await warningsNow()).to.have.length(2);
      await place.report(BACKUP_REPOSITORIES, 'main', conditions('True'));
      expect(await warningsNow()).to.deep.equal(warnings);
    });

    async function warningsNow(): Promise<readonly string[]> {
      const result = await invoke('backup.create', DAILY, place.context());
      return (result as { readonly warnings: readonly string[] }).warnings;
    }

    it('names the parameter that is wrong', async () => {
      const wrong: readonly (readonly [object, string])[] = [
        [{}, 'scope'],
        [{ scope: 'full' }, 'destination'],
        [{ ...DAILY, scope: 'Full' }, 'scope'],
        [{ ...DAILY, destination: 'backups' }, 'destination'],
        [{ ...DAILY, destination: 's3://key:secret@backups/daily' }, 'destination'],
        [{ ...DAILY, destination: '/backups/../etc' }, 'destination'],
        [{ ...DAILY, destination: '' }, 'destination'],
        [{ ...DAILY, destination: 7 }, 'destination'],
        [{ ...DAILY, ttl: '1h' }, 'ttl'],
      ];
      for (const [params, field] of wrong) {
        const error = await failing(invoke('backup.create', params, place.context()));
        expect([error.code, error.field], JSON.stringify(params)).to.deep.equal(['InvalidParameter', field]);
        expect(error.message).to.contain(`"${field}"`).and.not.contain('secret');
      }
      expect(await place.list(BACKUPS)).to.deep.equal([]);
    });
  });

  describe('clawstore backup create', () => {
    const seen: Backup[] = [];
    const create = backupCreateDetailed((backup) => seen.push(backup));

    const withVolumes = (...names: readonly string[]) =>
      Promise.all(names.map((name) => place.create(VOLUMES, name, { emptyDir: {} })));

    it('names at once a volume that is not there, and makes nothing', async () => {
      await withVolumes('data');
      const params = { destination: '/backups', volumes: ['data', 'mdoels'] };
      const error = await failing(runCommand(create, params, place.context()));
      expect([error.code, error.field]).to.deep.equal(['NotFound', 'volumes']);
      expect(error.message).to.contain('"mdoels"');
      expect(await place.list(BACKUPS)).to.deep.equal([]);
    });

    it('makes what it is told, under the name it is told, and shows how far it is', async () => {
      place.answer<Backup>(BACKUPS, first(whole));
      await withVolumes('data', 'models');
      const params = {
        name: 'before-upgrade',
        repository: 'main',
        scope: 'volumes',
        volumes: ['data', 'models'],
        ttl: '720h',
        deletionPolicy: 'Delete',
        onPartial: 'Allow',
        bandwidth: '10Mi',
      };
      const result = await runCommand(create, params, place.context());
      expect(result).to.include({ backupId: 'before-upgrade-0a1b2c3d', destination: 'main', scope: 'volumes' });
      const [made] = await place.list<Backup>(BACKUPS);
      expect(made?.spec).to.deep.equal({
        scope: 'Volumes',
        repositoryRef: { name: 'main' },
        volumeRefs: [{ name: 'data' }, { name: 'models' }],
        ttl: '720h',
        deletionPolicy: 'Delete',
        onPartial: 'Allow',
        limits: { bandwidth: '10Mi' },
      });
      expect(seen.at(-1)?.status?.progress?.bytesTotal).to.equal(4);
      expect(await runCommand(create, params, place.context())).to.deep.equal(result);
      const error = await failing(runCommand(create, { ...params, ttl: '1h' }, place.context()));
      expect([error.code, error.field]).to.deep.equal(['AlreadyExists', 'name']);
      expect(error.message).to.contain('another ttl');
    });

    it('says so when something is lacking that was allowed to be', async () => {
      place.answer<Backup>(
        BACKUPS,
        first((backup) => ({
          ...whole(backup),
          skippedCount: 2,
          conditions: [condition('Ready', 'True', 'Ready'), condition('DataComplete', 'False', 'DataMissing')],
        })),
      );
      const result = await runCommand(create, { ...DAILY, onPartial: 'Allow' }, place.context());
      expect(result).to.include({ state: 'partial', success: true, skippedCount: 2 });
    });

    it('refuses volumes of what has none, two places, and none', async () => {
      const wrong: readonly (readonly [object, string])[] = [
        [{ ...DAILY, scope: 'configs', volumes: ['data'] }, 'volumes'],
        [{ ...DAILY, repository: 'main' }, 'destination'],
        [{}, 'destination'],
        [{ ...DAILY, name: 'No' }, 'name'],
      ];
      for (const [params, field] of wrong) {
        const error = await failing(runCommand(create, params, place.context()));
        expect([error.code, error.field], JSON.stringify(params)).to.deep.equal(['InvalidParameter', field]);
      }
    });
  });

  describe('backup.list', () => {
    it('counts and lists, the newest last, with what each needs to be told apart', async () => {
      await add('b', (backup) => ({ ...whole(backup), startTime: '2026-01-02T02:00:00Z' }));
      await add('a', failed, { scope: 'Volumes' });
      const imported = { backupID: 'far-11111111' };
      await place.create(BACKUP_REPOSITORIES, 'main', {
        s3: { bucket: 'backups' },
        encryption: { secretRef: { name: 'key' } },
      });
      await place.report(BACKUP_REPOSITORIES, 'main', { url: 's3://backups/far' });
      await add(
        'far',
        (backup) => ({ ...whole(backup), backupID: imported.backupID, startTime: '2025-01-01T00:00:00Z' }),
        {
          destination: undefined,
          repositoryRef: { name: 'main' },
          imported,
        },
      );
      const { count, backups } = (await invoke('backup.list', {}, place.context())) as {
        readonly count: number;
        readonly backups: readonly Record<string, unknown>[];
      };
      expect(count).to.equal(3);
      expect(backups.map(({ backupId, state }) => `${backupId} ${state}`)).to.deep.equal([
        'far-11111111 succeeded',
        'a-0a1b2c3d failed',
        'b-0a1b2c3d succeeded',
      ]);
      expect(backups[0]).to.deep.include({ destination: 's3://backups/far', scope: 'full' });
      expect(backups[1]).to.deep.include({
        scope: 'volumes',
        destination: DAILY.destination,
        created_at: START,
        message: 'Two files could not be read: a, b.',
      });
    });

    it('lists more than one page', async () => {
      const spec = { scope: 'Full', destination: DAILY.destination };
      await Promise.all(Array.from({ length: 520 }, (_, index) => place.create(BACKUPS, `b-${index}`, spec)));
      expect(await invoke('backup.list', {}, place.context())).to.include({ count: 520 });
    });

    it('lists for people those of a schedule, or in a state', async () => {
      await add('by-hand', whole);
      const labels = { [LABELS.schedule]: 'daily' };
      const spec = { scope: 'Full', destination: DAILY.destination };
      await place.create(BACKUPS, 'daily-202601010200', spec, labels);
      const names = async (params: object): Promise<unknown> => {
        const { backups } = (await runCommand(backupListSome, params, place.context())) as {
          readonly backups: readonly { readonly name: string }[];
        };
        return backups.map(({ name }) => name);
      };
      expect(await names({ schedule: 'daily' })).to.deep.equal(['daily-202601010200']);
      expect(await names({ state: 'succeeded' })).to.deep.equal(['by-hand']);
      expect(await names({ state: 'running' })).to.deep.equal(['daily-202601010200']);
    });

    it('takes no parameters', async () => {
      const error = await failing(invoke('backup.list', { all: true }, place.context()));
      expect([error.code, error.field]).to.deep.equal(['InvalidParameter', 'all']);
    });
  });

  describe('backup.restore', () => {
    const going = ({ metadata }: Restore): RestoreStatus => ({
      observedGeneration: metadata.generation ?? 1,
      backupID: 'b-0a1b2c3d',
      startTime: START,
      conditions: [condition('Ready', 'False', 'Reconciling'), condition('Reconciling', 'True', 'Reconciling')],
    });
    const done = (restore: Restore): RestoreStatus => ({
      ...going(restore),
      completionTime: END,
      items: { succeeded: 2, failed: 0, skipped: 1 },
      conditions: [condition('Ready', 'True', 'Ready')],
    });
    const once =
      (status: (restore: Restore) => RestoreStatus) =>
      (restore: Restore): RestoreStatus | undefined =>
        restore.status?.startTime === undefined ? status(restore) : undefined;

    it('restores everything of the backup of that ID, and counts', async () => {
      await add('b', whole);
      place.answer<Restore>(RESTORES, once(done));
      const result = await invoke('backup.restore', { backupId: 'b-0a1b2c3d' }, place.context());
      const [made] = await place.list<Restore>(RESTORES);
      expect(made?.spec).to.deep.equal({ source: { backupRef: { name: 'b' } }, safetySnapshot: true });
      expect(result).to.deep.equal({
        backupId: 'b-0a1b2c3d',
        restoreId: made?.metadata.name,
        restored: true,
        state: 'succeeded',
        items: { succeeded: 2, failed: 0, skipped: 1 },
      });
    });

    it('finds a backup by an ID that does not begin with its name, and by its name', async () => {
      const imported = { backupID: 'elsewhere-11111111' };
      const spec = { destination: undefined, repositoryRef: { name: 'main' }, imported };
      await add('found', (backup) => ({ ...whole(backup), backupID: imported.backupID }), spec);
      place.answer<Restore>(RESTORES, once(done));
      for (const backupId of [imported.backupID, 'found']) {
        expect(await invoke('backup.restore', { backupId }, place.context())).to.include({ restored: true });
      }
      const made = await place.list<Restore>(RESTORES);
      expect(made.map((restore) => restore.spec.source.backupRef?.name)).to.deep.equal(['found', 'found']);
    });

    it('is answered for the one that goes on, and never begun twice', async () => {
      await add('b', whole);
      place.answer<Restore>(RESTORES, once(going));
      const restore = (backupId: string) =>
        answered(() => invoke('backup.restore', { backupId }, place.context(SHORT_MS)));
      const [begun] = await Promise.all([restore('b-0a1b2c3d'), restore('b-0a1b2c3d')]);
      expect(begun).to.include({ state: 'running', restored: false });
      expect(await restore('b')).to.deep.equal(begun);
      expect(await place.list(RESTORES)).to.have.length(1);
    });

    it('is answered under another name of the request, too, for the one that goes on', async () => {
      await add('b', whole);
      place.answer<Restore>(RESTORES, once(going));
      const ask = (requestId: string): Promise<unknown> =>
        answered(() => invoke('backup.restore', { backupId: 'b' }, place.context(SHORT_MS, { requestId })));
      const [begun, ...same] = await Promise.all(['one', 'one', 'two', 'three'].map(ask));
      expect(same).to.deep.equal([begun, begun, begun]);
      const [made, ...more] = await place.list<Restore>(RESTORES);
      if (made === undefined) throw new Error('there is none');
      expect(more).to.deep.equal([]);
      await place.report(RESTORES, made.metadata.name, done(made));
      const [owner] = ['one', 'two', 'three'].filter(
        (requestId) => made.metadata.labels?.[LABELS.request] === hash(requestId),
      );
      expect(await ask(owner ?? '')).to.include({ restoreId: made.metadata.name, state: 'succeeded' });
      expect(await ask('four'))
        .to.have.property('restoreId')
        .which.is.not.equal(made.metadata.name);
    });

    it('says what stands in the way', async () => {
      await add('b', whole);
      const message = 'Volume "data" is in use by VolumeMounts data-w1.';
      place.answer<Restore>(
        RESTORES,
        once((restore) => ({
          ...going(restore),
          completionTime: END,
          conditions: [
            condition('Ready', 'False', 'VolumeInUse', message),
            condition('Stalled', 'True', 'VolumeInUse', message),
          ],
        })),
      );
      const error = await failing(invoke('backup.restore', { backupId: 'b-0a1b2c3d' }, place.context()));
      expect([error.code, error.reason]).to.deep.equal(['Stalled', 'VolumeInUse']);
      expect(error.message).to.contain('data-w1');
    });

    it('begins nothing for a backup that is not there, not done, or not whole', async () => {
      await add('goes-on', running);
      await add('failed', failed);
      const expected = { other: 'NotFound', 'b-0a1b2c3d': 'NotFound', 'goes-on': 'Refused', failed: 'Refused' };
      for (const [backupId, code] of Object.entries(expected)) {
        const error = await failing(invoke('backup.restore', { backupId }, place.context()));
        expect([error.code, error.field], backupId).to.deep.equal([code, 'backupId']);
      }
      expect(await place.list(RESTORES)).to.deep.equal([]);
    });

    it('restores for people a part, elsewhere, or nothing, and refuses two at a time that differ', async () => {
      const restore = backupRestoreDetailed(() => undefined);
      place.answer<Restore>(RESTORES, once(going));
      const params = {
        backupId: 'far-22222222',
        repository: 'main',
        volumes: ['data=copy', 'models'],
        paths: ['a/b'],
        existingFiles: 'Mirror',
        objects: 'Fail',
        safetySnapshot: false,
        dryRun: true,
      };
      const run = () => answered(() => runCommand(restore, params, place.context(SHORT_MS)));
      const begun = await run();
      const [made] = await place.list<Restore>(RESTORES);
      expect(made?.spec).to.deep.equal({
        source: { backupID: 'far-22222222', repositoryRef: { name: 'main' } },
        volumes: [{ from: 'data', to: 'copy' }, { from: 'models' }],
        paths: ['a/b'],
        existingFiles: 'Mirror',
        objects: { conflictPolicy: 'Fail' },
        safetySnapshot: false,
        dryRun: true,
      });
      expect(await run()).to.deep.equal(begun);
      const error = await failing(runCommand(restore, { ...params, dryRun: false }, place.context(SHORT_MS)));
      expect([error.code, (await place.list(RESTORES)).length]).to.deep.equal(['Refused', 1]);
    });

    it('names what is wrong with a choice of volumes', async () => {
      const restore = backupRestoreDetailed(() => undefined);
      for (const volumes of [['=x'], ['x='], ['a=b=c']]) {
        const params = { backupId: 'b', repository: 'main', volumes };
        const error = await failing(runCommand(restore, params, place.context()));
        expect([error.code, error.field]).to.deep.equal(['InvalidParameter', 'volumes']);
      }
    });
  });

  describe('clawstore backup delete', () => {
    const repository = (name: string) =>
      place.create(BACKUP_REPOSITORIES, name, {
        s3: { bucket: 'backups' },
        encryption: { secretRef: { name: 'key' } },
      });

    it('deletes the object, and the data as its policy says or as it is told', async () => {
      await repository('main');
      await add('kept', whole);
      await add('lost', whole, { deletionPolicy: 'Delete' });
      await add('told', whole);
      await add('saved', whole, { deletionPolicy: 'Delete' });
      const remove = (params: object): Promise<unknown> => runCommand(backupDelete, params, place.context());
      expect(await remove({ backupId: 'kept-0a1b2c3d' })).to.deep.equal({
        backupId: 'kept-0a1b2c3d',
        name: 'kept',
        deleted: true,
        data: 'kept',
      });
      expect(await remove({ backupId: 'lost' })).to.include({ data: 'deleted' });
      expect(await remove({ backupId: 'told', data: 'delete' })).to.include({ data: 'deleted' });
      expect(await remove({ backupId: 'saved', data: 'keep' })).to.include({ data: 'kept' });
      expect(await place.list(BACKUPS)).to.deep.equal([]);
    });

    it('tells whoever carries the deletion out what becomes of the data, before it begins', async () => {
      const backup: Backup = {
        apiVersion: API_VERSION,
        kind: 'Backup',
        metadata: { name: 'held', namespace: place.namespace, finalizers: ['storage.clawbernetes.io/backup'] },
        spec: { scope: 'Full', destination: DAILY.destination },
      };
      await place.client.create(BACKUPS, backup);
      const call = failing(runCommand(backupDelete, { backupId: 'held', data: 'delete' }, place.context()));
      place.answer<Backup>(BACKUPS, ({ metadata, spec, status }) => {
        if (metadata.deletionTimestamp === undefined || status?.conditions !== undefined) return undefined;
        return { conditions: [condition('DeletionBlocked', 'True', 'VolumeInUse', `policy ${spec.deletionPolicy}`)] };
      });
      const error = await call;
      expect([error.code, error.message]).to.deep.equal(['Refused', 'backup delete: policy Delete']);
    });

    it('never says that data is deleted which nobody can reach', async () => {
      const lies = (backup: Backup): BackupStatus => ({ ...whole(backup), repositoryRef: { name: 'gone' } });
      await add('lost', lies, { deletionPolicy: 'Delete' });
      const remove = (params: object) => runCommand(backupDelete, params, place.context());
      const error = await failing(remove({ backupId: 'lost', data: 'delete' }));
      expect([error.code, error.field, error.message.includes('BackupRepository "gone" is gone')]).to.deep.equal([
        'Refused',
        'data',
        true,
      ]);
      expect(await place.list(BACKUPS), 'nothing was done').to.have.length(1);
      expect(await remove({ backupId: 'lost' })).to.include({ deleted: true, data: 'kept' });
      await add('there', lies, { deletionPolicy: 'Delete' });
      await repository('gone');
      expect(await remove({ backupId: 'there', data: 'delete' })).to.include({ data: 'deleted' });
    });

    it('says that there is none', async () => {
      const error = await failing(runCommand(backupDelete, { backupId: 'none' }, place.context()));
      expect([error.code, error.field]).to.deep.equal(['NotFound', 'backupId']);
    });
  });

  describe('clawstore backup cancel', () => {
    it('answers when it has stopped', async () => {
      await add('b', running);
      place.answer<Backup>(BACKUPS, (backup) => {
        return backup.spec.cancel === true && backup.status?.completionTime === undefined ? failed(backup) : undefined;
      });
      const answer = { backupId: 'b-0a1b2c3d', name: 'b', cancelled: true };
      expect(await runCommand(backupCancel, { backupId: 'b-0a1b2c3d' }, place.context())).to.deep.equal(answer);
      expect(await runCommand(backupCancel, { backupId: 'b' }, place.context())).to.deep.equal(answer);
    });

    it('does not say so of one that had ended, or ended well all the same', async () => {
      await add('done', whole);
      await add('late', running);
      place.answer<Backup>(BACKUPS, (backup) => {
        return backup.spec.cancel === true && backup.status?.completionTime === undefined ? whole(backup) : undefined;
      });
      for (const backupId of ['done', 'late']) {
        const error = await failing(runCommand(backupCancel, { backupId }, place.context()));
        expect([error.code, error.field]).to.deep.equal(['Refused', 'backupId']);
      }
      expect(
        (await place.list<Backup>(BACKUPS)).find(({ metadata }) => metadata.name === 'done')?.spec,
      ).to.not.have.property('cancel');
    });
  });
});
