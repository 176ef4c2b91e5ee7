import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { CRASH_POINTS } from '../../src/node/crash-points.ts';
import { forkHelper } from '../../src/node/fork-helper.ts';
import { loadLibc } from '../../src/node/helper/libc.ts';
import { HelperClient } from '../../src/node/helper-client.ts';
import { NodeError } from '../../src/node/node-error.ts';
import { makeDirectory } from '../support/harness/run.ts';
import { skipBecause } from '../support/skip.ts';
import { makePlace, mountsAt, mountsBelow, type Place, rejection, soon, until } from './support.ts';

const SETTINGS = { stateDir: '/nonexistent/state', mountRoot: '/nonexistent/mounts', mountHolder: false };

describe('helper', function () {
  this.timeout(120_000);

  describe('channel', () => {
    let client: HelperClient;

    beforeEach(() => {
      client = new HelperClient({ settings: SETTINGS });
    });

    afterEach(async () => {
      await client.close();
    });

    it('answers a slow request after the quick ones that came later', async () => {
      const order: string[] = [];
      // It ends when it is told to, which is once the quick one was answered.
      const directory = makeDirectory('slow');
      const argv = ['sh', '-c', 'until [ -e "$0" ]; do sleep 0.02; done', join(directory, 'go')] as const;
      const slow = client.call('run', { argv: [...argv] }, { signal: soon() }).then(() => order.push('slow'));
      await client.call('ping', null, { signal: soon() }).then(() => order.push('quick'));
      writeFileSync(join(directory, 'go'), '');
      await slow;
      rmSync(directory, { recursive: true });
      expect(order).to.deep.equal(['quick', 'slow']);
    });

    it('carries bigint both ways, and a thousand requests at once', async () => {
      const sizes = await Promise.all(
        Array.from({ length: 1_000 }, () => client.call('statfs', { path: '/' }, { signal: soon() })),
      );
      expect(sizes.every(({ totalBytes }) => typeof totalBytes === 'bigint' && totalBytes > 0n)).to.equal(true);
    });

    it('kills what runs past its deadline, with its children', async () => {
      const marker = `31${process.pid}`;
      await client.call('ping', null, { signal: soon() });
      const argv = ['sh', '-c', `sleep ${marker} & sleep ${marker}`] as const;
      const sleepers = () => sleepersFor(marker);
      // On a busy machine a deadline may pass before both have started, which shows nothing: then a longer one.
      const met = { both: false };
      for (let deadlineMs = 1_500; !met.both && deadlineMs < 30_000; deadlineMs *= 4) {
        let isOver = false;
        const call = rejection(client.call('run', { argv: [...argv] }, { signal: soon(), deadlineMs })).finally(() => {
          isOver = true;
        });
        await until(() => {
          met.both ||= sleepers() === 2;
          return met.both || isOver;
        });
        expect(await call).to.include({ code: 'DeadlineExceeded', retryable: true });
        await until(() => sleepers() === 0);
      }
      expect(met.both, 'both ran').to.equal(true);
    });

    it('gives up at once when aborted, and kills what ran', async () => {
      const marker = `32${process.pid}`;
      const controller = new AbortController();
      const call = rejection(client.call('run', { argv: ['sleep', marker] }, { signal: controller.signal }));
      await until(() => sleepersFor(marker) === 1);
      controller.abort();
      expect(await call).to.include({ code: 'Aborted' });
      await until(() => sleepersFor(marker) === 0);
    });

    it('passes on errors as NodeError with code, errno and system call', async () => {
      const error = await rejection(client.call('statfs', { path: '/nonexistent' }, { signal: soon() }));
      expect(error).to.be.instanceOf(NodeError);
      expect(error).to.include({ code: 'NotFound', errno: 'ENOENT', syscall: 'openat2' });
    });

    it('rejects what was under way when the helper dies, and goes on with another', async () => {
      const first = (await client.call('ping', null, { signal: soon() })).pid;
      const call = rejection(client.call('run', { argv: ['sleep', '300'] }, { signal: soon() }));
      await client.call('ping', null, { signal: soon() });
      let suspects = 0;
      client.table.onChange(({ suspect }) => {
        suspects += suspect.length;
      });
      process.kill(first, 'SIGKILL');
      expect(await call).to.include({ code: 'HelperLost', retryable: true });
      const second = (await client.call('ping', null, { signal: soon() })).pid;
      expect(second).to.not.equal(first);
      expect(client.restarts).to.equal(1);
      expect(suspects, 'what went wrong meanwhile was heard by nobody').to.be.greaterThan(0);
      expect(client.table.current().length).to.be.greaterThan(0);
    });

    it('replaces a helper that is stuck', async () => {
      const first = (await client.call('ping', null, { signal: soon() })).pid;
      process.kill(first, 'SIGSTOP');
      const error = await rejection(client.call('ping', null, { signal: soon(), deadlineMs: 100 }));
      expect(error).to.include({ code: 'DeadlineExceeded' });
      await until(() => client.restarts === 1);
      expect((await client.call('ping', null, { signal: soon() })).pid).to.not.equal(first);
    });

    it('ends with its parent, and not by the signals of a terminal', async () => {
      const { pid } = await client.call('ping', null, { signal: soon() });
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.kill(pid, signal);
      expect((await client.call('ping', null, { signal: soon() })).pid).to.equal(pid);
      const module = new URL('../../src/node/fork-helper.ts', import.meta.url).href;
      const parent = spawn(
        process.execPath,
        ['-e', `import('${module}').then(({ forkHelper }) => console.log(forkHelper().child.pid))`],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      const orphan = await new Promise<number>((resolve) =>
        parent.stdout.once('data', (data) => resolve(Number(data))),
      );
      parent.kill('SIGKILL');
      await until(() => !existsSync(`/proc/${orphan}/exe`));
    });

    it('says what is missing where koffi does not load', async () => {
      const without = new HelperClient({
        settings: SETTINGS,
        fork: () => forkHelper({ CLAWSTORE_WITHOUT_KOFFI: '1' }),
      });
      try {
        const features = await without.call('features', null, { signal: soon() });
        expect(features.find(({ name }) => name === 'Koffi')).to.include({
          available: false,
          reason: 'KoffiNotLoadable',
        });
        const path = { prefix: '/srv', path: '/srv' };
        expect(await rejection(without.call('inspectUserPath', path, { signal: soon() }))).to.include({
          code: 'Unsupported',
        });
        expect(without.table.at('/')).to.not.equal(undefined);
      } finally {
        await without.close();
      }
    });
  });

  describe('beside a filesystem that does not answer', () => {
    let place: Place;

    beforeEach(async () => {
      place = await makePlace();
    });

    afterEach(async () => {
      await place.dispose();
    });

    it('gives up at the deadline and delays nobody else', async function () {
      this.timeout(120_000);
      if (!existsSync('/dev/fuse')) skipBecause(this, 'this machine has no /dev/fuse');
      const dead = join(place.data, 'dead');
      mkdirSync(dead);
      mkdirSync(join(place.data, 'alive'));
      // A FUSE server that never reads its first request: every access waits for ever.
      const fd = openSync('/dev/fuse', 'r+');
      const libc = loadLibc();
      libc.mount('dead', dead, 'fuse', 0n, `fd=${fd},rootmode=40000,user_id=0,group_id=0`);
      try {
        await until(() => place.layer.table.at(dead) !== undefined);
        const bind = (name: string, deadlineMs: number) =>
          place.layer.call(
            'bindUserPath',
            {
              prefix: place.data,
              path: join(place.data, name),
              target: { root: place.layer.mountRoot, path: `ns/${name.replace('/', '-')}/data` },
              readOnly: false,
              options: [],
              create: true,
            },
            { signal: soon(), deadlineMs },
          );
        // A busy machine may not have answered the other one, nor even started the child, by then: a longer deadline.
        let delaysNobody = false;
        let code: string | undefined;
        for (let deadlineMs = 1_500; !delaysNobody && deadlineMs < 30_000; deadlineMs *= 4) {
          let settled = false;
          const hung = rejection(bind('dead/sub', deadlineMs)).finally(() => {
            settled = true;
          });
          await again(() => bind('alive', 30_000));
          delaysNobody = !settled;
          ({ code } = await hung);
          delaysNobody &&= code !== 'HelperLost';
        }
        expect(delaysNobody).to.equal(true);
        expect(code).to.equal('DeadlineExceeded');
        expect(mountsAt(join(place.layer.mountRoot, 'ns/alive/data'))).to.equal(1);
        expect(mountsAt(join(place.layer.mountRoot, 'ns/dead-sub/data'))).to.equal(0);
      } finally {
        libc.umount(dead, 2);
      }
    });
  });

  describe('killed at a crash point', () => {
    const points = CRASH_POINTS.filter((name) => /^(bind|unmount|root|tmpfs|remove-tree|helper)\./.test(name));
    for (const point of points) {
      it(`${point}: the same calls again end as if nothing had happened`, async () => {
        let forks = 0;
        const place = await makePlace({
          fork: (environment) => {
            forks += 1;
            return forkHelper(forks === 1 ? { CLAWSTORE_CRASH_AT: point } : environment);
          },
        });
        const { layer } = place;
        try {
          const target = { root: layer.mountRoot, path: 'ns/a/data' };
          const source = join(place.data, 'a');
          const path = join(target.root, target.path);
          const bind = () =>
            layer.bindUserPath(
              { prefix: place.data, path: source, target, readOnly: true, options: ['nosuid', 'nodev'], create: true },
              soon(),
            );
          await again(bind);
          expect(mountsAt(path)).to.equal(1);
          expect(() => writeFileSync(join(path, 'x'), '')).to.throw('EROFS');
          const tmp = { root: layer.mountRoot, path: 'ns/t/data' };
          const tmpfs = { target: tmp, sizeBytes: 65_536n, mode: 0o755, readOnly: false, options: [], name: 't' };
          await again(() => layer.tmpfs(tmpfs, soon()));
          mkdirSync(join(layer.stateDir, 'tree/sub'), { recursive: true });
          writeFileSync(join(layer.stateDir, 'tree/sub/file'), '');
          await again(() => layer.removeTree({ root: layer.stateDir, path: 'tree' }, soon()));
          for (const each of [target, tmp]) {
            const unmount = () => {
              const mountId = layer.table.at(join(each.root, each.path))?.id;
              return layer.unmount({ target: each, mountId, scope: 'copies' }, soon());
            };
            expect(await again(unmount)).to.deep.equal({ outcome: 'done' });
          }
          expect(layer.helperRestarts, 'the crash point was passed').to.equal(1);
          expect(mountsBelow(layer.mountRoot)).to.deep.equal([]);
          expect(existsSync(join(layer.mountRoot, 'ns'))).to.equal(false);
          expect(existsSync(join(layer.stateDir, 'tree'))).to.equal(false);
          expect(existsSync(source)).to.equal(true);
        } finally {
          await place.dispose();
        }
      });
    }
  });
});

async function again<T>(call: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(error instanceof NodeError) || error.code !== 'HelperLost') throw error;
    }
  }
}

/** How many processes sleep for so many seconds, which tell them from all others. */
function sleepersFor(marker: string): number {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8') === `sleep\0${marker}\0`;
    } catch {
      return false;
    }
  }).length;
}
