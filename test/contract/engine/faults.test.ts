/** What goes wrong with an engine, its source and its repository, in the oldest version and the newest. */

import { randomBytes } from 'node:crypto';
import { chmodSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { BackupRequest, RepositoryAccess } from '../../../src/backup/engine.ts';
import { createResticEngine } from '../../../src/backup/restic/engine.ts';
import { disturbed, hold, makePlace, meet, type Place, rejection, soon, until } from '../../node/support.ts';
import { full, seededRandom, turns } from '../../support/harness/run.ts';
import { filesOf } from '../hostile-tree.ts';
import { EngineWorld, resticOf, SOURCE } from './support.ts';

const KILLS = full ? 40 : 3;

/** Processes of restic that run a command. */
function enginesAt(command: string): readonly number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      try {
        const isRestic = readlinkSync(`/proc/${pid}/exe`).endsWith('/restic');
        return isRestic && readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes(command);
      } catch {
        return false;
      }
    });
}

/** Holds a process still that holds a lock; false when it is not there yet, or has none any more. */
function heldWith(pid: number, hasLock: () => boolean): boolean {
  if (pid === 0 || !hasLock() || !hold(pid)) return false;
  if (hasLock()) return true;
  process.kill(pid, 'SIGCONT');
  return false;
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}

for (const version of ['0.14', '0.19'] as const) {
  describe(`engine faults: restic ${version}`, function () {
    this.timeout(120_000);
    let place: Place;
    let world: EngineWorld;
    let large: string;
    /** What our side does, or restic in any version: the oldest is spared it, but in a full run. */
    const itOnce = (title: string, test: Mocha.AsyncFunc): void => {
      if (full || version !== '0.14') it(title, test);
    };
    /** What the oldest answers in its own words: half of it in one run, half in another. */
    const isTurn = turns('faults of the oldest restic');
    const itInTurn = (title: string, test: Mocha.AsyncFunc): void => {
      if (version !== '0.14' || isTurn()) it(title, test);
    };

    before(async () => {
      place = await makePlace();
      world = new EngineWorld(place, version, { initializeMs: 0 });
      large = world.directory('large').path;
      // What cannot be compressed takes longest.
      for (let index = 0; index < 60; index += 1) writeFileSync(join(large, `file-${index}`), randomBytes(1_000_000));
    });

    after(async () => {
      expect(await place.dispose(), 'mounts that no call took down').to.deep.equal([]);
    });

    type Repository = RepositoryAccess & { readonly path: string };

    function locksOf(repository: Repository): readonly string[] {
      return readdirSync(join(repository.path, 'locks')).filter((name) => /^[0-9a-f]{64}$/.test(name));
    }

    /** A backup that stands still and holds its lock; `end` lets it go on. */
    async function held(
      repository: Repository,
      overrides: Partial<RepositoryAccess> = {},
      request: Partial<BackupRequest> = {},
    ) {
      const access = { ...repository, ...overrides };
      let pid = 0;
      const { running: backup } = await meet(
        () => world.backup(access, large, request, { signal: AbortSignal.timeout(110_000) }),
        () => {
          [pid = 0] = enginesAt('backup');
          return heldWith(pid, () => locksOf(repository).length > 0);
        },
      );
      backup.catch(() => undefined);
      const [lock = ''] = locksOf(repository);
      return { backup, pid, lock, end: () => process.kill(pid, 'SIGCONT') };
    }

    /** Calls a backup off as soon as there are so many locks. @returns its error; undefined when it was done before. */
    async function calledOff(
      repository: Repository,
      overrides: Partial<RepositoryAccess>,
      locks = 1,
    ): Promise<unknown> {
      const stop = new AbortController();
      let isOver = false;
      const ended = world.backup({ ...repository, ...overrides }, large, {}, { signal: stop.signal }).then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      void ended.then(() => {
        isOver = true;
      });
      await until(() => isOver || locksOf(repository).length >= locks);
      stop.abort();
      return ended;
    }

    itOnce('says that there is no engine, or none that runs', async () => {
      const missing = createResticEngine(place.layer, { program: 'no-such-restic' });
      const { lacking } = await missing.probe(soon());
      expect(lacking.map(({ feature }) => feature)).to.deep.equal(['Engine']);
      expect(lacking[0]?.message).to.contain('not installed');
      const other = createResticEngine(place.layer, { program: '/bin/true' });
      expect((await other.probe(soon())).lacking[0]?.feature).to.equal('Engine');
      expect(await rejection(other.open(world.access('x'), soon()))).to.include({ code: 'EngineMissing' });
    });

    itInTurn('tells a wrong password from a repository that is not there, and keeps passwords to itself', async () => {
      const repository = await world.repository();
      const wrong = await rejection(world.engine.open({ ...repository, password: 'wrong-secret-9' }, soon()));
      expect(wrong).to.include({ code: 'WrongPassword', retryable: false });
      expect(JSON.stringify(wrong) + wrong.message + wrong.stack).not.to.contain('wrong-secret-9');
      const { own } = world.directory('empty');
      const nothing = world.engine.open(world.access(own.path), soon());
      expect(await rejection(nothing)).to.include({ code: 'NoRepository', retryable: false });
    });

    itOnce('makes no repository over anything', async () => {
      const repository = await world.repository();
      const source = world.directory('once');
      writeFileSync(join(source.path, 'file'), 'x');
      await world.backup(repository, source.path);
      // A repository that lost its configuration is one that can be saved.
      rmSync(join(repository.path, 'config'));
      const before = filesOf(repository.path, []);
      expect(await rejection(world.engine.initialize(repository, soon()))).to.include({ code: 'NotEmpty' });
      expect(filesOf(repository.path, [])).to.deep.equal(before);
      const other = world.directory('other');
      writeFileSync(join(other.path, 'photo.jpg'), 'precious');
      const error = await rejection(world.engine.initialize(world.access(other.own.path), soon()));
      expect(error).to.include({ code: 'NotEmpty' });
      expect(error.message).to.contain('photo.jpg');
    });

    itOnce('finishes what a kill left of making one, but not what somebody may be at', async () => {
      const repository = await world.repository();
      rmSync(join(repository.path, 'config'));
      const patient = createResticEngine(place.layer, { program: resticOf(version), initializeMs: 600_000 });
      expect(await rejection(patient.initialize(repository, soon()))).to.include({ code: 'Locked', retryable: true });
      const made = await world.engine.initialize(repository, soon());
      expect(await world.engine.open(repository, soon())).to.deep.equal(made);
    });

    itInTurn(
      'names files that could not be read, and makes a snapshot of the others that is not complete',
      async () => {
        const repository = await world.repository();
        // Whatever may be read there, these may not: no root can.
        const source = {
          path: SOURCE,
          entries: [{ name: 'data', directory: { own: { root: '/proc/sys', path: 'vm' } } }],
        };
        const summary = await world.backup(repository, large, { source });
        expect(summary.complete).to.equal(false);
        expect(summary.files).to.be.above(5);
        expect(summary.errors.count).to.be.above(0);
        const compact = summary.errors.examples.find(({ item }) => item === '/data/compact_memory');
        expect(compact?.message, JSON.stringify(summary.errors)).to.contain('permission denied');
      },
    );

    itOnce('names files that vanish while it looks', async () => {
      const repository = await world.repository();
      const source = world.directory('vanishing');
      for (const name of ['stays', 'vanishes']) writeFileSync(join(source.path, name), name);
      const script = join(place.data, world.fresh('traced'));
      const inject = '-e trace=openat -e inject=openat:error=ENOENT -P data/vanishes';
      writeFileSync(
        script,
        `#!/bin/sh\nexec strace -f -qq -o /dev/null ${inject} -P ${SOURCE}/data/vanishes ${resticOf(version)} "$@"\n`,
      );
      chmodSync(script, 0o755);
      const traced = createResticEngine(place.layer, { program: script });
      const summary = await traced.backup(
        repository,
        {
          source: { path: SOURCE, entries: [{ name: 'data', directory: { own: source.own } }] },
          host: 'node-a',
          tags: {},
        },
        () => undefined,
        soon(),
      );
      expect(
        summary.complete,
        JSON.stringify(summary, (_, value) => (typeof value === 'bigint' ? String(value) : value)),
      ).to.equal(false);
      expect(summary.errors.examples.map(({ item }) => item)).to.deep.equal(['/data/vanishes']);
      expect(summary.files).to.equal(1);
    });

    itOnce('ends at once when it is called off, and leaves no lock', async () => {
      const { error, repository } = await disturbed(async () => {
        const fresh = await world.repository();
        const thrown = await calledOff(fresh, { holder: 'node-a/run' });
        return thrown === undefined ? undefined : { error: thrown, repository: fresh };
      });
      expect(error).to.include({ code: 'Aborted', retryable: true });
      expect(enginesAt('backup')).to.deep.equal([]);
      expect(locksOf(repository)).to.deep.equal([]);
      const late = world.backup(repository, large, {}, { signal: AbortSignal.timeout(300) });
      expect(await rejection(late)).to.include({ code: 'DeadlineExceeded' });
    });

    // An engine that stands still is killed only when its time to end by itself is over.
    itOnce('gives up when nothing moves', async () => {
      const repository = await world.repository();
      const { backup, end } = await held(repository, { holder: 'node-a/run', limits: { stallMs: 5_000 } });
      try {
        expect(await rejection(backup)).to.include({ code: 'Stalled', retryable: true });
      } finally {
        if (enginesAt('backup').length > 0) end();
      }
      expect(locksOf(repository)).to.deep.equal([]);
    });

    itInTurn('shows who holds a lock, works beside it, and removes the named one alone', async () => {
      const repository = await world.repository();
      const live = await held(repository, { holder: 'node-a/live' });
      try {
        const small = world.directory('small');
        writeFileSync(join(small.path, 'file'), 'x');
        expect((await world.backup(repository, small.path)).complete).to.equal(true);
        const [lock] = await world.engine.locks(repository, soon());
        expect(lock).to.include({ id: live.lock, exclusive: false, holder: 'node-a/live', pid: live.pid });
        expect(Date.now() - Date.parse(lock?.time ?? '')).to.be.within(-5_000, 120_000);
        const prune = (): Promise<unknown> => world.engine.prune(repository, {}, () => undefined, soon());
        expect(await rejection(prune())).to.include({ code: 'Locked', retryable: true });

        // Somebody else is killed meanwhile.
        let other = 0;
        const { running: dying } = await meet(
          () => world.backup(repository, large),
          () => {
            [other = 0] = enginesAt('backup').filter((each) => each !== live.pid);
            return heldWith(other, () => locksOf(repository).length === 2);
          },
        );
        process.kill(other, 'SIGKILL');
        expect(await rejection(dying)).to.include({ code: 'Interrupted', retryable: true });
        const dead = (await world.engine.locks(repository, soon())).find(({ id }) => id !== live.lock);
        expect(dead).to.include({ holder: hostname(), exclusive: false });
        await world.engine.removeLocks(repository, [dead?.id ?? ''], soon());
        await world.engine.removeLocks(repository, [dead?.id ?? ''], soon());
        expect(locksOf(repository)).to.deep.equal([live.lock]);

        // One that is called off takes its own along.
        const cut = await disturbed(() => calledOff(repository, { holder: 'node-b/run' }, 2));
        expect(cut).to.include({ code: 'Aborted' });
        expect(locksOf(repository)).to.deep.equal([live.lock]);
        expect(await rejection(prune())).to.include({ code: 'Locked' });
        expect(await rejection(world.engine.removeLocks(repository, ['../config'], soon()))).to.include({
          code: 'InvalidRequest',
        });
      } finally {
        live.end();
      }
      expect((await live.backup).complete).to.equal(true);
      await world.engine.prune(repository, {}, () => undefined, soon());
    });

    itOnce('lets nobody give back space while another cluster builds a backup on what would go', async () => {
      const repository = await world.repository();
      const ofOne = { ...repository, holder: 'cluster-one/run' };
      const shared = world.directory('shared');
      for (let index = 0; index < 10; index += 1) {
        writeFileSync(join(shared.path, `file-${index}`), randomBytes(1_000_000));
      }
      const first = await world.backup(ofOne, shared.path);
      await world.engine.forget(ofOne, [first.snapshotId], soon());
      const kept = await world.backup(ofOne, shared.path, { tags: { kind: 'volume', cluster: 'one' } });
      // The other cluster has the same files, beside others of its own, and its own cache.
      const cacheDirectory = { root: place.layer.stateDir, path: world.fresh('cache-of-two') };
      const own = { root: place.data, path: large.slice(place.data.length + 1) };
      const entries = [
        { name: 'data', directory: { own } },
        { name: 'shared', directory: { own: shared.own } },
      ];
      const ofTwo = { holder: 'cluster-two/run', cacheDirectory };
      const other = await held(repository, ofTwo, { source: { path: SOURCE, entries }, host: 'node-of-two' });
      const give = () => world.engine.prune(ofOne, {}, () => undefined, soon());
      try {
        const gone = rejection(world.engine.forget(ofOne, [kept.snapshotId], soon()));
        expect(await gone).to.include({ code: 'Locked', retryable: true });
        expect(await rejection(give())).to.include({ code: 'Locked', retryable: true });
      } finally {
        other.end();
      }
      const made = await other.backup;
      expect(made.complete).to.equal(true);
      await world.engine.forget(ofOne, [kept.snapshotId], soon());
      await give();
      const target = world.directory('target');
      await world.restore({ ...repository, ...ofTwo }, made.snapshotId, target.path, { sourcePath: '/shared' });
      expect(filesOf(target.path, [])).to.deep.equal(filesOf(shared.path, []));
      expect((await world.engine.check(ofOne, { readDataPercent: 100 }, () => undefined, soon())).ok).to.equal(true);
    });

    itOnce(
      `is killed ${KILLS} times and then makes a whole backup, over a repository that is sound`,
      async function () {
        this.timeout(full ? 600_000 : 120_000);
        const repository = await world.repository();
        const random = seededRandom('kills of an engine');
        for (let kill = 0; kill < KILLS; kill += 1) {
          const backup = world.backup(repository, large);
          backup.catch(() => undefined);
          let over = false;
          void backup.then(
            () => (over = true),
            () => (over = true),
          );
          await until(() => over || enginesAt('backup').length > 0);
          await sleep(random.between(0, 400));
          for (const pid of enginesAt('backup')) killQuietly(pid);
          const code = await backup.then(
            () => 'done',
            (error: { readonly code: string }) => error.code,
          );
          expect(code).to.be.oneOf(['done', 'Interrupted']);
          const stale = await world.engine.locks(repository, soon());
          await world.engine.removeLocks(
            repository,
            stale.map(({ id }) => id),
            soon(),
          );
        }
        const summary = await world.backup(repository, large);
        expect(summary.complete).to.equal(true);
        const result = await world.engine.check(repository, { readDataPercent: 100 }, () => undefined, soon());
        expect(result, JSON.stringify(result)).to.include({ ok: true });
        const target = world.directory('after-kills');
        await world.restore(repository, summary.snapshotId, target.path);
        expect(filesOf(target.path, ['times'])).to.deep.equal(filesOf(large, ['times']));
      },
    );

    for (const damage of ['flipped', 'missing'] as const) {
      (damage === 'flipped' ? itInTurn : itOnce)(
        `finds a file of data that is ${damage}, and says what it costs`,
        async () => {
          const repository = await world.repository();
          const sound = world.directory('sound');
          writeFileSync(join(sound.path, 'file'), 'sound');
          const before = await world.backup(repository, sound.path);
          const source = world.directory('damaged');
          writeFileSync(join(source.path, 'lost'), randomBytes(2_000_000));
          const { snapshotId } = await world.backup(repository, source.path);
          const packs = join(repository.path, 'data');
          const [largest = ''] = (readdirSync(packs, { recursive: true }) as string[])
            .filter((name) => statSync(join(packs, name)).isFile())
            .toSorted((one, other) => statSync(join(packs, other)).size - statSync(join(packs, one)).size);
          const file = join(packs, largest);
          if (damage === 'missing') rmSync(file);
          else {
            const bytes = readFileSync(file);
            bytes[100] = (bytes[100] ?? 0) ^ 0xff;
            chmodSync(file, 0o600);
            writeFileSync(file, bytes);
          }
          if (damage === 'missing') {
            const pruning = world.engine.prune(repository, {}, () => undefined, soon());
            expect(await rejection(pruning), 'a prune sees it too').to.include({ code: 'Damaged' });
          }
          const readDataPercent = damage === 'missing' ? 0 : 100;
          const result = await world.engine.check(repository, { readDataPercent }, () => undefined, soon());
          expect(result.ok).to.equal(false);
          expect(result.errors.count, JSON.stringify(result.errors)).to.be.above(0);
          expect(result.damagedPacks).to.deep.equal([largest.split('/').at(-1)]);
          expect(result.damagedSnapshots).to.deep.equal([snapshotId]);
          expect(result.damagedFiles).to.deep.equal([{ snapshotId, path: '/data/lost' }]);
          const target = world.directory('partly');
          const whole = await world.restore(repository, before.snapshotId, target.path);
          expect(whole.complete).to.equal(true);
        },
      );
    }
  });
}
