/** What an engine is run in: a mount namespace of its own, and a life that ends with whoever wanted it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import {
  ENGINE_ROOT,
  ENGINE_TIDY_MS,
  type EngineOutcome,
  type EnginePlace,
  type RunEngine,
} from '../../../src/node/backups/operations.ts';
import { type CallOptions, NO_DEADLINE_MS } from '../../../src/node/layer.ts';
import { childrenOf } from '../../support/harness/daemon.ts';
import { makePlace, mountsBelow, type Place, rejection, soon, until } from '../support.ts';

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

interface Ran extends EngineOutcome {
  readonly stdout: string;
  readonly stderr: string;
}

describe('running an engine', function () {
  this.timeout(120_000);
  let place: Place;

  before(async () => {
    place = await makePlace();
  });

  after(async () => {
    expect(await place.dispose(), 'mounts that no call took down').to.deep.equal([]);
  });

  async function sh(
    script: string,
    places: readonly EnginePlace[] = [],
    request: Partial<RunEngine> = {},
    options: Partial<CallOptions> = {},
  ): Promise<Ran> {
    const said = { stdout: '', stderr: '' };
    const outcome = await place.layer.call(
      'runEngine',
      { argv: ['sh', '-c', script], env: { PATH }, cwd: ENGINE_ROOT, places, ...request },
      {
        signal: soon(),
        tidyMs: ENGINE_TIDY_MS,
        deadlineMs: NO_DEADLINE_MS,
        onOutput: (stream, chunk) => {
          said[stream] += Buffer.from(chunk).toString('latin1');
        },
        ...options,
      },
    );
    return { ...outcome, ...said };
  }

  function directory(name: string, at: string, more: Partial<Extract<EnginePlace, { kind: 'directory' }>> = {}) {
    return {
      kind: 'directory',
      at,
      source: { own: { root: place.data, path: name } },
      readOnly: true,
      ...more,
    } as const;
  }

  it('says what became of it, and what it said', async () => {
    const ran = await sh('echo out; echo err >&2; cat; exit 3', [], { stdin: Buffer.from('given') });
    expect(ran).to.deep.equal({ status: 3, stdout: 'out\ngiven', stderr: 'err\n' });
    expect((await sh('kill -9 $$')).status).to.equal(137);
  });

  it('gives it nothing of the environment of the agent, and a host name when one is wanted', async () => {
    const { stdout } = await sh('env; uname -n', [], { env: { PATH, SECRET: 'kept' }, hostname: 'holder#1' });
    expect(stdout).to.contain('SECRET=kept').and.to.contain('holder#1');
    expect(stdout).not.to.contain('HOME=').and.not.to.contain('NODE_');
    expect(hostname()).not.to.equal('holder#1');
  });

  it('shows directories at fixed places, read-only without a trace, and content from memory', async () => {
    mkdirSync(join(place.data, 'tree/inner'), { recursive: true });
    writeFileSync(join(place.data, 'tree/file'), 'of the tree');
    utimesSync(join(place.data, 'tree/file'), 1_000_000_000, 1_700_000_000);
    execFileSync('mount', ['-t', 'tmpfs', 'none', join(place.data, 'tree/inner')]);
    try {
      writeFileSync(join(place.data, 'tree/inner/hidden'), '');
      mkdirSync(join(place.data, 'written'));
      const { status, stdout, stderr } = await sh(
        'cat source/data/file source/about; ls source/data/inner; touch source/data/new; touch out/made; stat -c %a .',
        [
          directory('tree', 'source/data'),
          { kind: 'file', at: 'source/about', content: Buffer.from(' and more\n') },
          directory('written', 'out', { readOnly: false }),
        ],
      );
      expect({ status, stdout }, stderr).to.deep.equal({ status: 0, stdout: 'of the tree and more\n700\n' });
      expect(stderr).to.contain('Read-only file system');
      expect(existsSync(join(place.data, 'written/made'))).to.equal(true);
      expect(execFileSync('stat', ['-c', '%X', join(place.data, 'tree/file')], { encoding: 'utf8' })).to.equal(
        '1000000000\n',
      );
      const below = directory('tree', 'data', { readOnly: false, alone: true });
      expect(await rejection(sh('true', [below]))).to.include({ code: 'MountBelow' });
      expect(await rejection(sh('true', [directory('tree', 'data', { device: '0:0' })]))).to.include({
        code: 'NotFound',
      });
    } finally {
      execFileSync('umount', [join(place.data, 'tree/inner')]);
    }
  });

  it('refuses one that lies in another and must not, also where that is mounted a second time', async () => {
    mkdirSync(join(place.data, 'whole/inner/deep'), { recursive: true });
    for (const name of ['wholesome', 'again', 'inner-again']) mkdirSync(join(place.data, name));
    execFileSync('mount', ['--bind', join(place.data, 'whole'), join(place.data, 'again')]);
    execFileSync('mount', ['--bind', join(place.data, 'whole/inner'), join(place.data, 'inner-again')]);
    const run = (inner: string, outer: string): Promise<Ran> =>
      sh('true', [directory(inner, 'repository', { apart: true }), directory(outer, 'source/data')]);
    try {
      for (const inner of ['whole', 'whole/inner', 'again/inner/deep', 'inner-again', 'inner-again/deep']) {
        expect(await rejection(run(inner, 'whole')), inner).to.include({ code: 'WithinOther', retryable: false });
      }
      expect(await rejection(run('whole/inner/deep', 'inner-again'))).to.include({ code: 'WithinOther' });
      for (const [inner, outer] of [
        ['wholesome', 'whole'],
        ['again', 'inner-again'],
      ] as const) {
        expect((await run(inner, outer)).status, inner).to.equal(0);
      }
    } finally {
      for (const name of ['again', 'inner-again']) execFileSync('umount', [join(place.data, name)]);
    }
  });

  it('makes a directory of ours where it is missing, and follows no link', async () => {
    await sh('touch cache/used', [directory('made/cache', 'cache', { readOnly: false, make: true })]);
    expect(existsSync(join(place.data, 'made/cache/used'))).to.equal(true);
    symlinkSync('/etc', join(place.data, 'link'));
    expect(await rejection(sh('true', [directory('link', 'data')]))).to.include({ code: 'SymlinkInPath' });
    expect(await rejection(sh('true', [directory('tree', '../data')]))).to.include({ code: 'InvalidPath' });
  });

  it('holds no mount of others, and changes none of the machine', async () => {
    const other = join(place.data, 'other');
    mkdirSync(other);
    execFileSync('mount', ['-t', 'tmpfs', 'other', other]);
    const before = readFileSync('/proc/self/mountinfo', 'utf8');
    const { stdout } = await sh('cat /proc/self/mountinfo');
    expect(readFileSync('/proc/self/mountinfo', 'utf8')).to.equal(before);
    expect(stdout).not.to.contain(other).and.not.to.contain(place.layer.mountRoot);
    expect(stdout).to.contain(` ${ENGINE_ROOT} `).and.to.contain(' /proc ');
    execFileSync('umount', [other]);
    expect(mountsBelow(ENGINE_ROOT)).to.deep.equal([]);
  });

  it('takes what comes at the pace of the caller', async () => {
    let bytes = 0;
    let taking = false;
    const { status } = await sh(
      'head -c 20000000 /dev/zero',
      [],
      {},
      {
        onOutput: async (_, chunk) => {
          expect(taking, 'one at a time').to.equal(false);
          taking = true;
          bytes += chunk.length;
          await new Promise(setImmediate);
          taking = false;
        },
      },
    );
    expect({ status, bytes }).to.deep.equal({ status: 0, bytes: 20_000_000 });
  });

  it('tells how much was written so far', async () => {
    const told: bigint[] = [];
    const stop = new AbortController();
    const running = sh(
      'head -c 3000000 /dev/zero >file; sleep 1000 & exec sleep 1000',
      [],
      {},
      {
        signal: stop.signal,
        onProgress: ({ bytesDone }) => {
          told.push(bytesDone);
          if (bytesDone >= 3_000_000n) stop.abort();
        },
      },
    );
    expect(await rejection(running)).to.include({ code: 'Aborted' });
    expect(told.at(-1)! >= 3_000_000n).to.equal(true);
  });

  const CLEAN = 'trap "sleep 0.2; echo clean >done; exit 130" INT; echo $$; while :; do sleep 0.05; done';

  it('ends it well when its caller gives up, and says so when it has ended', async () => {
    mkdirSync(join(place.data, 'aborted'));
    const stop = new AbortController();
    const running = sh(
      CLEAN,
      [directory('aborted', 'out', { readOnly: false })],
      { cwd: `${ENGINE_ROOT}/out` },
      { signal: stop.signal, onOutput: () => stop.abort() },
    );
    expect(await rejection(running)).to.include({ code: 'Aborted' });
    expect(readFileSync(join(place.data, 'aborted/done'), 'utf8')).to.equal('clean\n');
  });

  it('ends it at its deadline', async () => {
    const running = sh('exec sleep 1000', [], {}, { deadlineMs: 300 });
    expect(await rejection(running)).to.include({ code: 'DeadlineExceeded' });
  });

  for (const who of ['helper', 'everybody'] as const) {
    it(`ends it when ${who} dies`, async () => {
      const name = `died-${who}`;
      mkdirSync(join(place.data, name));
      let pid = 0;
      const running = sh(
        CLEAN,
        [directory(name, 'out', { readOnly: false })],
        { cwd: `${ENGINE_ROOT}/out` },
        {
          onOutput: (_, chunk) => {
            pid ||= Number.parseInt(Buffer.from(chunk).toString(), 10);
            const helper = place.layer.helperPid;
            if (helper === undefined) return;
            // The helper and its child, not what the child has started.
            for (const each of who === 'helper' ? [helper] : [...childrenOf(helper), helper]) {
              process.kill(each, 'SIGKILL');
            }
          },
        },
      );
      expect(await rejection(running)).to.include({ code: 'HelperLost' });
      await until(() => existsSync(join(place.data, name, 'done')));
      await until(() => !existsSync(`/proc/${pid}`));
    });
  }

  it('is not kept waiting for a process when another has just ended', async () => {
    const children = (): readonly string[] => childrenOf(place.layer.helperPid ?? 0).map(String);
    await sh('true');
    const waiting = children();
    const ancestors =
      'pid=$$; while [ $pid -gt 1 ]; do echo $pid; pid=$(awk "/^PPid/ { print \\$2 }" /proc/$pid/status); done';
    const { stdout } = await sh(ancestors);
    expect(
      stdout.split('\n').some((pid) => waiting.includes(pid)),
      `one of ${waiting}: ${stdout}`,
    ).to.equal(true);
    // An engine changes what its process sees: it never runs another.
    await until(() => !children().some((pid) => waiting.includes(pid)));
  });

  it('is told of a program that is not there', async () => {
    expect(await rejection(sh('', [], { argv: ['no-such-engine'] }))).to.include({ code: 'Unsupported' });
  });

  it('names what the export of a server is lacking', async () => {
    const nfs = {
      kind: 'nfs',
      at: 'repository',
      server: 'no-such-name.invalid',
      path: '/export',
      subPath: '',
      options: [],
      readOnly: false,
    } as const;
    expect(await rejection(sh('true', [nfs]))).to.include({ code: 'NameNotResolved' });
  });
});
