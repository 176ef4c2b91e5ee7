import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type MountHolder, startMountHolder } from '../../src/node/mount-daemons/holder.ts';
import { HOLDER_SOCKET, HOLDER_START, pidNamespace } from '../../src/node/mount-daemons/holder-protocol.ts';
import type { StartMountDaemon } from '../../src/node/mount-daemons/operations.ts';
import type { NodeError } from '../../src/node/node-error.ts';
import { makePlace, mountsBelow, type Place, rejection, soon } from './support.ts';

/** Longer than a socket address may be (unix(7)). */
const LONG = 'state-directory-'.repeat(8);

describe('the mount holder', function () {
  this.timeout(120_000);
  let place: Place;
  let stateDir: string;
  let started: (NodeError | undefined)[];
  const holders: MountHolder[] = [];
  const running: string[] = [];

  beforeEach(async () => {
    place = await makePlace({ mountHolder: true, stateName: LONG });
    ({ stateDir } = place.layer);
    started = [];
  });

  afterEach(async () => {
    for (const directory of running.splice(0)) {
      await place.layer.call('stopDaemon', { directory, patienceMs: 0 }, { signal: soon() });
    }
    for (const holder of holders.splice(0)) await holder.close();
    await place.dispose();
  });

  const serve = async (): Promise<MountHolder> => {
    const { mountRoot } = place.layer;
    const holder = await startMountHolder({ stateDir, mountRoot, onStart: (_name, error) => started.push(error) });
    holders.push(holder);
    return holder;
  };
  /** A process that mounts a tmpfs and stays. */
  const daemon = (name: string): StartMountDaemon => {
    const directory = join(stateDir, name);
    running.push(directory);
    const target = { root: place.layer.mountRoot, path: name };
    const script = `mount -t tmpfs ${name} "$0" && exec sleep 1000`;
    const argv = ['/bin/sh', '-c', script, join(target.root, target.path)] as const;
    return { directory, name, argv, env: { SAID: "it's" }, discard: ['old'], target, fsType: 'tmpfs', source: name };
  };
  const start = (request: StartMountDaemon) =>
    place.layer.call('startMountDaemon', request, { signal: soon(), deadlineMs: 40_000 });
  /** As an agent would ask, with something wrong. */
  const ask = (body: unknown, path = HOLDER_START): Promise<{ readonly code: string; readonly message: string }> =>
    new Promise((resolve, reject) => {
      const socketPath = `/proc/self/cwd/${HOLDER_SOCKET}`;
      const before = process.cwd();
      process.chdir(stateDir);
      const outgoing = request({ socketPath, method: 'POST', path, agent: false }, (answer) => {
        let text = '';
        answer.on('data', (chunk) => {
          text += String(chunk);
        });
        answer.on('end', () => resolve(JSON.parse(text) as { code: string; message: string }));
      });
      outgoing.on('error', reject);
      outgoing.on('socket', (socket) => socket.once('connect', () => process.chdir(before)));
      outgoing.end(JSON.stringify(body));
    });

  it('starts what the agent asks for, once, with its environment, and is not its parent', async () => {
    await serve();
    const request = daemon('one');
    mkdirSync(request.directory);
    writeFileSync(join(request.directory, 'old'), '');
    const { process: first, created } = await start(request);
    expect(created).to.equal(true);
    expect((await start(request)).process).to.deep.equal(first);
    expect(started).to.deep.equal([undefined]);
    expect(mountsBelow(place.layer.mountRoot)).to.include(join(place.layer.mountRoot, 'one'));
    expect(readFileSync(`/proc/${first.pid}/environ`, 'utf8')).to.include("SAID=it's");
    expect(() => statSync(join(request.directory, 'old'))).to.throw('ENOENT');
    const cgroupOf = (pid: number | 'self'): string => readFileSync(`/proc/${pid}/cgroup`, 'utf8');
    expect(cgroupOf(first.pid), 'the cgroup of the holder').to.equal(cgroupOf('self'));
  });

  it('leaves what it started alone when it ends, and the next one needs to know nothing of it', async () => {
    const holder = await serve();
    const request = daemon('kept');
    const { process: first } = await start(request);
    await holder.close();
    holders.length = 0;
    expect(await place.layer.call('findDaemon', request, { signal: soon() })).to.deep.equal(first);
    // As a kill would leave it.
    writeFileSync(join(stateDir, HOLDER_SOCKET), '');
    await serve();
    expect((await start(request)).process).to.deep.equal(first);
    expect((await start(daemon('next'))).created).to.equal(true);
  });

  it('is missed with an error that says what to do, and that passes when it is there', async () => {
    const request = daemon('late');
    const error = await rejection(start(request));
    expect(error).to.include({ code: 'HolderUnavailable', retryable: true });
    expect(error.message).to.include(join(stateDir, HOLDER_SOCKET)).and.include('clawstore mount-holder');
    await serve();
    expect((await start(request)).created).to.equal(true);
  });

  it('listens for its owner alone, and once per state directory', async () => {
    await serve();
    expect(statSync(join(stateDir, HOLDER_SOCKET)).mode & 0o777).to.equal(0o600);
    expect(await rejection(serve())).to.include({ code: 'Locked' });
    expect((await start(daemon('first'))).created).to.equal(true);
  });

  it('refuses what lies outside, what is malformed, and whoever counts processes otherwise', async () => {
    await serve();
    const { directory, name, argv, discard } = daemon('refused');
    mkdirSync(directory);
    const good = { directory, name, argv, discard, pidNamespace: pidNamespace() };
    for (const [wrong, code, said] of [
      [{ directory: place.dir }, 'InvalidRequest', 'directory: '],
      [{ directory: `${stateDir}/../..` }, 'InvalidRequest', 'directory: '],
      [{ name: 'a b' }, 'InvalidRequest', 'name: '],
      [{ argv: ['sh'] }, 'InvalidRequest', 'argv: '],
      [{ argv: 'sh' }, 'InvalidRequest', 'argv: '],
      [{ discard: ['../x'] }, 'InvalidRequest', 'discard: '],
      [{ pidNamespace: 'pid:[1]' }, 'HolderUnavailable', 'hostPID'],
    ] as const) {
      const answer = await ask({ ...good, ...wrong });
      expect(answer.code, JSON.stringify(wrong)).to.equal(code);
      expect(answer.message).to.include(said);
    }
    expect(await ask(good, '/v9/start')).to.include({ code: 'Unsupported' });
    expect(await ask({ ...good, name: 'x'.repeat(100_000) })).to.include({ code: 'InvalidRequest' });
    expect(started).to.deep.equal([]);
  });

  it('does not start where nobody would see its mounts', async () => {
    const error = await rejection(startMountHolder({ stateDir, mountRoot: join(place.dir, 'elsewhere') }));
    expect(error).to.include({ code: 'InvalidRequest' });
    expect(error.message).to.include('Bidirectional');
  });
});
