import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type AllowedSkip, parseAllowedSkips, staleEntries } from '../../scripts/test/allowed-skips.ts';

const checkout = resolve(import.meta.dirname, '../..');
const skipModule = join(checkout, 'test/support/skip.ts');

interface Run {
  readonly status: number | null;
  readonly output: string;
  readonly lastLine: string;
}

describe('the test runner', function () {
  this.timeout(240_000);
  let root = '';

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'clawstore-runner-'));
    mkdirSync(join(root, 'test'));
    writeFileSync(join(root, 'package.json'), '{"type":"module"}');
    // The specs lie outside the checkout: they reach mocha and chai through its node_modules.
    spawnSync('ln', ['-s', join(checkout, 'node_modules'), join(root, 'node_modules')]);
  });
  afterEach(() => rmSync(root, { recursive: true }));

  /** Runs one spec as the suite `probe`. */
  function run(
    spec: string,
    suite: Readonly<Record<string, unknown>> = {},
    env: Readonly<Record<string, string>> = {},
  ): Run {
    writeFileSync(join(root, 'test/probe.test.ts'), `import { describe, it, before } from 'mocha';\n${spec}`);
    const probe = {
      type: 'mocha',
      kind: 'unit',
      name: 'probe',
      specs: ['test/*.test.ts'],
      namespaces: false,
      deadlineSeconds: 100,
    };
    writeFileSync(join(root, 'suites.ts'), `export const SUITES = [${JSON.stringify({ ...probe, ...suite })}];`);
    return start(env);
  }

  function start(env: Readonly<Record<string, string>> = {}): Run {
    const args = [join(checkout, 'scripts/test.ts'), '--suites', join(root, 'suites.ts'), '--root', root];
    const { CI: _, CLAWSTORE_SEED: __, CLAWSTORE_TEST_FULL: ___, ...inherited } = process.env;
    const result = spawnSync(process.execPath, args, { encoding: 'utf8', env: { ...inherited, ...env } });
    const output = `${result.stdout}${result.stderr}`;
    return { status: result.status, output, lastLine: result.stdout.trimEnd().split('\n').at(-1) ?? '' };
  }

  it('ends with the sums alone on the last line and exits 0 when all passed', () => {
    const { status, lastLine, output } = run("it('one', () => {}); it('two', () => {});");
    expect(lastLine, output).to.equal('2 passed, 0 failed, 0 skipped');
    expect(status).to.equal(0);
    expect(output).to.match(/^CLAWSTORE_SEED=\d+$/m);
  });

  it('counts a failed test and exits with an error', () => {
    const { status, lastLine } = run("it('one', () => {}); it('two', () => { throw new Error('boom'); });");
    expect(lastLine).to.equal('1 passed, 1 failed, 0 skipped');
    expect(status).to.equal(1);
  });

  it('counts a suite that dies before reporting as failed, beside what it had reported', () => {
    const { status, lastLine, output } = run(
      "it('one', () => {}); it('two', () => { process.kill(process.pid, 'SIGKILL'); });",
    );
    expect(lastLine).to.equal('1 passed, 1 failed, 0 skipped');
    expect(output).to.contain('died before reporting its tests (signal SIGKILL)');
    expect(status).to.equal(1);
  });

  it('counts a suite that leaves early with exit code 0 as failed', () => {
    const { status, lastLine, output } = run("it('one', () => { process.exit(0); });");
    expect(lastLine, output).to.equal('0 passed, 1 failed, 0 skipped');
    expect(status).to.equal(1);
  });

  it('counts a suite whose file does not load as failed', () => {
    const { status, lastLine } = run("import './nowhere.ts'; it('one', () => {});");
    expect(lastLine).to.equal('0 passed, 1 failed, 0 skipped');
    expect(status).to.equal(1);
  });

  it('refuses a hook that would run for the tests of all files', () => {
    const { lastLine, output } = run("before(() => {}); describe('a', () => { it('one', () => {}); });");
    expect(lastLine, output).to.equal('0 passed, 1 failed, 0 skipped');
    expect(output).to.match(/probe\.test\.ts: the "before all" hook stands outside of every describe/);
    const named = run("before('for all', () => {}); it('one', () => {});");
    expect(named.lastLine, named.output).to.equal('1 passed, 0 failed, 0 skipped');
  });

  it('counts a suite without any test or file as failed', () => {
    expect(run("describe('empty', () => {});").lastLine).to.equal('0 passed, 1 failed, 0 skipped');
    const nothing = run("it('one', () => {});", { specs: ['elsewhere/*.test.ts'] });
    // Two failures: nothing matches the suite, and the file that is there belongs to none.
    expect(nothing.lastLine, nothing.output).to.equal('0 passed, 2 failed, 0 skipped');
    expect(nothing.output).to.contain('no suite of scripts/suites.ts runs test/probe.test.ts');
  });

  it('kills a suite at its deadline, with the processes it started, and counts it as failed', () => {
    const marker = join(root, 'alive');
    const child = `setInterval(() => require('fs').writeFileSync(${JSON.stringify(marker)}, ''), 50)`;
    const { status, lastLine, output } = run(
      `import { spawn } from 'node:child_process';
       it('hangs', function (done) { this.timeout(0); spawn(process.execPath, ['-e', ${JSON.stringify(child)}]); });`,
      { deadlineSeconds: 2 },
    );
    expect(lastLine, output).to.equal('0 passed, 1 failed, 0 skipped');
    expect(output).to.contain('killed at its deadline');
    expect(status).to.equal(1);
    rmSync(marker, { force: true });
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    expect(existsSync(marker)).to.equal(false);
  });

  /** A spec that ends when all the others have begun. */
  const meets = (own: string, ...others: readonly string[]): string => `
    import { existsSync, writeFileSync } from 'node:fs';
    import { it } from 'mocha';
    it('meets the others', async function () {
      this.timeout(90000);
      console.log('here is ${own}');
      writeFileSync(${JSON.stringify(root)} + '/${own}', '');
      for (const other of ${JSON.stringify(others)}) {
        while (!existsSync(${JSON.stringify(root)} + '/' + other)) await new Promise((go) => setTimeout(go, 20));
        console.log('${own} has met ' + other);
      }
    });`;
  /** Runs suites of one spec each. */
  function runAll(...suites: readonly { readonly name: string; readonly spec: string; readonly beside?: true }[]): Run {
    const listed = suites.map(({ name, spec, ...more }) => {
      writeFileSync(join(root, `test/${name}.test.ts`), spec);
      const common = { type: 'mocha', kind: 'unit', namespaces: false, deadlineSeconds: 100 };
      return { ...common, ...more, name, specs: [`test/${name}.test.ts`] };
    });
    writeFileSync(join(root, 'suites.ts'), `export const SUITES = ${JSON.stringify(listed)};`);
    return start();
  }

  it('runs suites that mostly wait beside the others, and prints each in one piece', () => {
    const { lastLine, output } = runAll(
      { name: 'slow', spec: meets('b', 'a'), beside: true },
      { name: 'front', spec: meets('a', 'b') },
    );
    expect(lastLine, output).to.equal('2 passed, 0 failed, 0 skipped');
    expect(output).to.match(
      /== slow: started beside the others[^]*== front[^]*a has met b[^]*== slow\n[^]*b has met a/,
    );
    expect(output.slice(output.indexOf('== front'), output.indexOf('== slow\n'))).to.not.include('here is b');
    expect(output).to.match(/== summary\nok {3}slow .*\nok {3}front /);
  });

  it('runs four of those that mostly wait when there is nothing else to do', () => {
    const { lastLine, output } = runAll(
      { name: 'front', spec: "import { it } from 'mocha'; it('is quick', () => {});" },
      { name: 'one', spec: meets('a', 'b', 'c', 'd'), beside: true },
      { name: 'two', spec: meets('b', 'a', 'c', 'd'), beside: true },
      { name: 'three', spec: meets('c', 'a', 'b', 'd'), beside: true },
      { name: 'four', spec: meets('d', 'a', 'b', 'c'), beside: true },
    );
    expect(lastLine, output).to.equal('5 passed, 0 failed, 0 skipped');
  });

  it('deals the files of suites that share them out by the seed, and gives all to each with full counts', () => {
    const suites = ['even', 'odd'].map((name, index) => ({
      type: 'mocha',
      kind: 'unit',
      name,
      specs: ['test/shared-*.test.ts'],
      share: { index, of: 2 },
      namespaces: false,
      deadlineSeconds: 100,
    }));
    for (const file of ['a', 'b', 'c']) {
      writeFileSync(join(root, `test/shared-${file}.test.ts`), "import { it } from 'mocha'; it('runs', () => {});");
    }
    writeFileSync(join(root, 'suites.ts'), `export const SUITES = ${JSON.stringify(suites)};`);
    const passed = (env: Readonly<Record<string, string>>): readonly string[] => {
      const { output } = start(env);
      return [...output.matchAll(/^ok +\w+ +(\d) passed/gm)].map(([, count = '']) => count);
    };
    expect(passed({ CLAWSTORE_SEED: '6' })).to.deep.equal(['2', '1']);
    expect(passed({ CLAWSTORE_SEED: '7' })).to.deep.equal(['1', '2']);
    expect(passed({ CLAWSTORE_SEED: '7', CLAWSTORE_TEST_FULL: '1' })).to.deep.equal(['3', '3']);
  });

  describe('skips', () => {
    const spec = `import { skipBecause } from '${skipModule}';
      it('one', () => {}); it('needs hardware', function () { skipBecause(this, 'no such disk'); });`;

    it('prints the reason and passes on a machine of a person', () => {
      const { status, lastLine, output } = run(spec);
      expect(lastLine, output).to.equal('1 passed, 0 failed, 1 skipped');
      expect(output).to.contain('skipped: probe | needs hardware | no such disk');
      expect(status).to.equal(0);
    });

    it('fails under CI when it is not listed', () => {
      const { status, lastLine } = run(spec, {}, { CI: 'true' });
      expect(lastLine).to.equal('1 passed, 1 failed, 0 skipped');
      expect(status).to.equal(1);
    });

    it('passes under CI when suite, title and reason are listed', () => {
      writeFileSync(join(root, 'test/allowed-skips.txt'), '# why\nprobe | needs hardware | no such disk\n');
      const { status, lastLine } = run(spec, {}, { CI: 'true' });
      expect(lastLine).to.equal('1 passed, 0 failed, 1 skipped');
      expect(status).to.equal(0);
    });

    it('fails under CI when it is listed with another reason, and warns of the entry', () => {
      writeFileSync(join(root, 'test/allowed-skips.txt'), 'probe | needs hardware | another reason\n');
      const { lastLine, output } = run(spec, {}, { CI: 'true' });
      expect(lastLine).to.equal('1 passed, 1 failed, 0 skipped');
      expect(output).to.contain('warning: test/allowed-skips.txt lists what was not skipped: probe | needs hardware');
    });

    it('fails anywhere when it gives no reason', () => {
      const { status, lastLine, output } = run("it('one', () => {}); it.skip('later', () => {});");
      expect(lastLine).to.equal('1 passed, 1 failed, 0 skipped');
      expect(output).to.contain('skipped without a reason');
      expect(status).to.equal(1);
    });

    it('keeps the reason of a before hook for every test of the block', () => {
      const { output, lastLine } = run(`import { skipBecause } from '${skipModule}';
        describe('block', () => { before(function () { skipBecause(this, 'no server'); }); it('a', () => {}); it('b', () => {}); });`);
      expect(lastLine, output).to.equal('0 passed, 0 failed, 2 skipped');
      expect(output).to.contain('probe | block b | no server');
    });
  });

  describe('namespaces', () => {
    const contained = { namespaces: true };

    it('adds four counted looks for leaks to a clean suite, and says what it has computed', () => {
      const { lastLine, output } = run("it('one', () => {});", contained);
      expect(lastLine, output).to.equal('5 passed, 0 failed, 0 skipped');
      expect(output).to.match(/^ok {3}probe .* s, \d+ of CPU$/m);
    });

    it('names a mount, a loop device, a file and a process that were left, and sweeps them', () => {
      const { lastLine, output, status } = run(
        `import { execFileSync, spawn } from 'node:child_process';
         import { mkdirSync } from 'node:fs';
         const dir = process.env.CLAWSTORE_RUN_DIR;
         it('leaks', () => {
           mkdirSync(dir + '/left');
           execFileSync('mount', ['-t', 'tmpfs', 'left', dir + '/left']);
           execFileSync('truncate', ['-s', '1M', dir + '/image']);
           execFileSync('losetup', ['-f', dir + '/image']);
           spawn('setsid', ['sleep', '300'], { stdio: 'ignore' }).unref();
         });`,
        contained,
      );
      expect(lastLine, output).to.equal('1 passed, 4 failed, 0 skipped');
      expect(output).to.match(/leaves no process behind[^]*sleep 300/);
      expect(status).to.equal(1);
      const runDir = /(\/\S*\/clawstore-[0-9a-f]{8})\/left/.exec(output)?.[1] ?? '';
      expect(runDir).not.to.equal('');
      expect(existsSync(runDir)).to.equal(false);
      const loops = readdirSync('/sys/block').filter((name) => existsSync(`/sys/block/${name}/loop/backing_file`));
      const backing = loops.map(
        (name) => spawnSync('cat', [`/sys/block/${name}/loop/backing_file`], { encoding: 'utf8' }).stdout,
      );
      expect(backing.filter((path) => path.includes(runDir))).to.deep.equal([]);
    });

    it('reaps what the tests orphan', () => {
      const { lastLine, output } = run(
        `import { execFileSync } from 'node:child_process';
         import { existsSync } from 'node:fs';
         import { setTimeout as delay } from 'node:timers/promises';
         it('orphans', async () => {
           const pid = execFileSync('sh', ['-c', 'sleep 0.2 >/dev/null 2>&1 & echo $!'], { encoding: 'utf8' }).trim();
           for (let i = 0; i < 100 && existsSync('/proc/' + pid); i++) await delay(50);
           if (existsSync('/proc/' + pid)) throw new Error('zombie ' + pid);
         });`,
        contained,
      );
      expect(lastLine, output).to.equal('5 passed, 0 failed, 0 skipped');
    });
  });

  it('fails when a chosen suite does not exist', () => {
    writeFileSync(join(root, 'suites.ts'), 'export const SUITES = [];');
    const args = [
      join(checkout, 'scripts/test.ts'),
      '--suites',
      join(root, 'suites.ts'),
      '--root',
      root,
      '--suite',
      'nope',
    ];
    const { stdout, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    expect(stdout.trimEnd().split('\n').at(-1)).to.equal('0 passed, 1 failed, 0 skipped');
    expect(status).to.equal(1);
  });
});

describe('allowed skips', () => {
  const entry: AllowedSkip = { suite: 's', title: 'a b', reason: 'r' };

  it('are lines of three parts', () => {
    expect(parseAllowedSkips('# comment\n\ns | a b | r\n')).to.deep.equal([entry]);
    expect(() => parseAllowedSkips('s | a b')).to.throw('line 1');
    expect(() => parseAllowedSkips('s | a | b | c')).to.throw('SUITE | TITLE | REASON');
  });

  it('are out of date only for suites that ran', () => {
    const outcome = { suite: 's', passed: 1, failures: [], skips: [], seconds: 1 };
    expect(staleEntries([outcome], [entry])).to.deep.equal([entry]);
    expect(staleEntries([{ ...outcome, suite: 'other' }], [entry])).to.deep.equal([]);
    expect(staleEntries([{ ...outcome, skips: [{ title: 'a b', reason: 'r' }] }], [entry])).to.deep.equal([]);
  });
});
