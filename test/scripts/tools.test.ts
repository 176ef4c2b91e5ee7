import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { cacheRoot, findBundle, makeBundle } from '../../scripts/tools/cache.ts';
import type { Bundle } from '../../scripts/tools/catalogue.ts';

const checkout = resolve(import.meta.dirname, '../..');
const bundle: Bundle = { name: 'thing', source: { kind: 'deb', suite: 'trixie', packages: ['thing'] } };

describe('the cache of test servers', () => {
  let root = '';
  let before: string | undefined;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'clawstore-cache-'));
    before = process.env['CLAWSTORE_CACHE'];
    process.env['CLAWSTORE_CACHE'] = root;
  });
  afterEach(() => {
    if (before === undefined) delete process.env['CLAWSTORE_CACHE'];
    else process.env['CLAWSTORE_CACHE'] = before;
    rmSync(root, { recursive: true });
  });

  const make = (version: string): Promise<string> =>
    makeBundle(bundle, async (folder) => {
      writeFileSync(join(folder, 'file'), version);
      return version;
    });

  it('lies where CLAWSTORE_CACHE says', () => {
    expect(cacheRoot()).to.equal(root);
    expect(findBundle(bundle)).to.equal(undefined);
  });

  it('finds what was made, the newest version first', async () => {
    await make('1.9.0');
    const newest = await make('1.10.0');
    await make('1.2.0');
    expect(findBundle(bundle)).to.equal(newest);
  });

  it('does not find what was made from other inputs', async () => {
    await make('1.0.0');
    expect(findBundle({ ...bundle, source: { kind: 'deb', suite: 'sid', packages: ['thing'] } })).to.equal(undefined);
  });

  it('keeps nothing of a bundle whose making failed', async () => {
    const failure = await makeBundle(bundle, async (folder) => {
      writeFileSync(join(folder, 'half'), '');
      throw new Error('no space');
    }).catch((error: unknown) => error);
    expect(failure).to.be.instanceOf(Error);
    expect(findBundle(bundle)).to.equal(undefined);
    expect(readdirSync(join(root, 'thing'))).to.deep.equal([]);
  });

  it('does not take the remains of a killed build for a bundle, and sweeps them with the next', async () => {
    mkdirSync(join(root, 'thing/.making-killed'), { recursive: true });
    await makeBundle(bundle, async (folder) => {
      // What a kill at this moment would leave: the temporary folder, full.
      writeFileSync(join(folder, 'file'), '');
      expect(findBundle(bundle)).to.equal(undefined);
      return '1.0.0';
    });
    expect(findBundle(bundle)).to.match(/1\.0\.0-[0-9a-f]{12}$/);
    expect(readdirSync(join(root, 'thing'))).to.have.length(1);
  });

  describe('scripts/tools.ts', function () {
    this.timeout(120_000);

    /** A program that says it is etcd of that version. */
    function fakeEtcd(folder: string, version: string): string {
      mkdirSync(join(root, folder), { recursive: true });
      const path = join(root, folder, 'etcd');
      writeFileSync(path, `#!/bin/sh\necho 'etcd Version: ${version}'\n`, { mode: 0o755 });
      return path;
    }

    function path(env: Readonly<Record<string, string>>) {
      const { ETCD: _, KUBEBUILDER_ASSETS: __, ...inherited } = process.env;
      const result = spawnSync(process.execPath, [join(checkout, 'scripts/tools.ts'), 'path', 'etcd'], {
        encoding: 'utf8',
        env: { ...inherited, ...env },
      });
      return { status: result.status, stdout: result.stdout.trim(), stderr: result.stderr };
    }

    it('takes the binary that the environment variable names', () => {
      const named = fakeEtcd('named', '3.5.9');
      fakeEtcd('path', '3.6.0');
      expect(path({ ETCD: named, PATH: `${join(root, 'path')}:/usr/bin:/bin` }).stdout).to.equal(named);
    });

    it('refuses a named binary that is too old instead of passing it over', () => {
      const named = fakeEtcd('named', '3.4.23');
      const { status, stderr } = path({ ETCD: named });
      expect(status).to.equal(1);
      expect(stderr).to.contain(`ETCD=${named} does not run or is older than 3.5`);
    });

    it('prefers KUBEBUILDER_ASSETS to PATH and passes over what is too old there', () => {
      const assets = fakeEtcd('assets', '3.5.1');
      const inPath = fakeEtcd('path', '3.6.0');
      const PATH = `${join(root, 'path')}:/usr/bin:/bin`;
      expect(path({ KUBEBUILDER_ASSETS: join(root, 'assets'), PATH }).stdout).to.equal(assets);
      fakeEtcd('assets', '3.4.23');
      expect(path({ KUBEBUILDER_ASSETS: join(root, 'assets'), PATH }).stdout).to.equal(inPath);
      expect(existsSync(join(root, 'etcd'))).to.equal(false);
    });
  });
});
