import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';

const checkout = resolve(import.meta.dirname, '../..');
const NODE_PACKAGE = `node-linux-${process.arch}`;
/** Prints what it was started with, then waits for a signal when told to. */
const PROGRAM = `
if (process.argv[2] === 'wait') { process.on('SIGTERM', () => process.exit(7)); setInterval(() => {}, 1000); }
console.log(JSON.stringify({ from: import.meta.url.split('/').slice(-2).join('/'), args: process.argv.slice(2), pid: process.pid, node: process.versions.node }));
if (process.argv[2] === 'exit') process.exit(Number(process.argv[3]));
`;

describe('the launcher bin/clawstore', function () {
  this.timeout(120_000);
  let root = '';
  let pkg = '';

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'clawstore-launcher-'));
    pkg = join(root, 'lib/node_modules/clawstore');
    mkdirSync(join(pkg, 'bin'), { recursive: true });
    mkdirSync(join(pkg, 'dist'));
    copyFileSync(join(checkout, 'bin/clawstore'), join(pkg, 'bin/clawstore'));
    writeFileSync(join(pkg, 'package.json'), '{"type":"module"}');
    writeFileSync(join(pkg, 'dist/cli.js'), PROGRAM);
    // What a machine has: an old Node that must not be used.
    mkdirSync(join(root, 'old'));
    writeFileSync(join(root, 'old/node'), '#!/bin/sh\nif [ "$1" = -p ]; then echo 20; else echo v20.0.0; fi\n', {
      mode: 0o755,
    });
  });
  afterEach(() => rmSync(root, { recursive: true }));

  const oldPath = (): string => `${join(root, 'old')}:/usr/bin:/bin`;

  /** Puts the Node that the package brings below `folder`, as npm does. */
  function bringNode(folder: string): void {
    mkdirSync(join(folder, 'node_modules', NODE_PACKAGE, 'bin'), { recursive: true });
    symlinkSync(process.execPath, join(folder, 'node_modules', NODE_PACKAGE, 'bin/node'));
  }

  function start(command: string, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
    const result = spawnSync(command, args, { encoding: 'utf8', cwd: '/', env: { PATH: oldPath(), ...env } });
    return {
      status: result.status,
      stderr: result.stderr,
      said: result.stdout === '' ? undefined : JSON.parse(result.stdout),
    };
  }

  it('runs the bundle on the Node that the package brings, whatever Node the machine has', () => {
    bringNode(pkg);
    const { said, status, stderr } = start(join(pkg, 'bin/clawstore'), ['a b', '--x', '']);
    expect(stderr).to.equal('');
    expect(status).to.equal(0);
    expect(said).to.include({ from: 'dist/cli.js', node: process.versions.node });
    expect(said.args).to.deep.equal(['a b', '--x', '']);
  });

  it('finds a Node package that npm hoisted', () => {
    bringNode(join(root, 'lib'));
    expect(start(join(pkg, 'bin/clawstore'), []).said).to.include({ node: process.versions.node });
  });

  it('works through links, also as kubectl-clawstore', () => {
    bringNode(pkg);
    mkdirSync(join(root, 'bin'));
    symlinkSync('../lib/node_modules/clawstore/bin/clawstore', join(root, 'bin/clawstore'));
    symlinkSync('clawstore', join(root, 'bin/kubectl-clawstore'));
    expect(start('kubectl-clawstore', [], { PATH: `${join(root, 'bin')}:${oldPath()}` }).said).to.include({
      from: 'dist/cli.js',
    });
  });

  it('passes the exit code through', () => {
    bringNode(pkg);
    expect(start(join(pkg, 'bin/clawstore'), ['exit', '42']).status).to.equal(42);
  });

  it('is the product itself: same process ID, signals reach it', async () => {
    bringNode(pkg);
    const child: ChildProcess = spawn(join(pkg, 'bin/clawstore'), ['wait'], { env: { PATH: oldPath() } });
    const [chunk] = (await once(child.stdout as NodeJS.ReadableStream, 'data')) as [Buffer];
    expect(JSON.parse(chunk.toString()).pid).to.equal(child.pid);
    child.kill('SIGTERM');
    const [code] = (await once(child, 'exit')) as [number | null];
    expect(code).to.equal(7);
  });

  it('takes a new enough Node of the machine where the package brought none', () => {
    mkdirSync(join(root, 'new'));
    symlinkSync(process.execPath, join(root, 'new/node'));
    expect(start(join(pkg, 'bin/clawstore'), [], { PATH: `${join(root, 'new')}:/usr/bin:/bin` }).said).to.include({
      from: 'dist/cli.js',
    });
  });

  it('says in one line what to do on a machine with only an old Node, or none', () => {
    const old = start(join(pkg, 'bin/clawstore'), []);
    expect(old.status).to.equal(1);
    expect(old.stderr).to.match(/^clawstore: needs Node 24 or newer, .* is v20\.0\.0, .*\n$/);
    mkdirSync(join(root, 'tools'));
    for (const tool of ['readlink', 'dirname', 'uname']) {
      symlinkSync(execFileSync('which', [tool], { encoding: 'utf8' }).trim(), join(root, 'tools', tool));
    }
    const none = start(join(pkg, 'bin/clawstore'), [], { PATH: join(root, 'tools') });
    expect(none.stderr).to.match(/^clawstore: needs Node 24 or newer, and this machine has none: .*\n$/);
  });

  it('runs the sources of a checkout that was not built, or when asked to', () => {
    // Not below node_modules: Node strips no types there.
    const tree = join(root, 'checkout');
    for (const folder of ['bin', 'dist', 'src']) mkdirSync(join(tree, folder), { recursive: true });
    bringNode(tree);
    copyFileSync(join(checkout, 'bin/clawstore'), join(tree, 'bin/clawstore'));
    for (const file of ['src/main.ts', 'dist/cli.js']) writeFileSync(join(tree, file), PROGRAM);
    writeFileSync(join(tree, 'package.json'), '{"type":"module"}');
    expect(start(join(tree, 'bin/clawstore'), []).said).to.include({ from: 'dist/cli.js' });
    expect(start(join(tree, 'bin/clawstore'), [], { CLAWSTORE_DEV: '1' }).said).to.include({ from: 'src/main.ts' });
    rmSync(join(tree, 'dist'), { recursive: true });
    expect(start(join(tree, 'bin/clawstore'), []).said).to.include({ from: 'src/main.ts' });
    rmSync(join(tree, 'src'), { recursive: true });
    expect(start(join(tree, 'bin/clawstore'), []).stderr).to.match(
      /^clawstore: there is nothing to run in .*make build/,
    );
  });
});
