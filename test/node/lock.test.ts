import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { createNodeLayer, type RunningNodeLayer } from '../../src/node/create-layer.ts';
import { end, killHelper, rejection, soon, until } from './support.ts';

describe('lock', function () {
  this.timeout(120_000);
  let dir: string;
  let layer: RunningNodeLayer;

  beforeEach(async () => {
    dir = realpathSync(mkdtempSync(join(tmpdir(), 'clawstore-lock-')));
    layer = await createNodeLayer({ stateDir: join(dir, 'state'), mountRoot: join(dir, 'mounts') }, soon());
  });

  afterEach(async () => {
    await layer.close();
    rmSync(dir, { recursive: true });
  });

  it('is held by one at a time, and names the holder', async () => {
    const file = join(dir, 'run/agent.lock');
    const lock = await layer.lock(file, soon());
    const refused = await rejection(layer.lock(file, soon()));
    expect(refused).to.include({ code: 'Locked' });
    expect(refused.message).to.include(`process ${process.pid}`);
    await lock.release();
    await (await layer.lock(file, soon())).release();
  });

  it('outlives the helper that took it', async () => {
    const file = join(dir, 'agent.lock');
    const lock = await layer.lock(file, soon());
    killHelper(layer);
    await until(() => layer.helperRestarts === 1);
    expect(await rejection(layer.lock(file, soon()))).to.include({ code: 'Locked' });
    await lock.release();
  });

  it('ends with the process that holds it, however that ends', async () => {
    const file = join(dir, 'agent.lock');
    writeFileSync(file, '');
    const module = new URL('../../src/node/create-layer.ts', import.meta.url).href;
    const script = `import { createNodeLayer } from '${module}';
      const signal = AbortSignal.timeout(60000);
      const layer = await createNodeLayer({ stateDir: '${dir}/s2', mountRoot: '${dir}/m2' }, signal);
      await layer.lock('${file}', signal);
      console.log('locked');
      setInterval(() => {}, 1000);`;
    const holder = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => holder.stdout.once('data', resolve));
    try {
      const refused = await rejection(layer.lock(file, soon()));
      expect(refused.message).to.include(`process ${holder.pid}`);
    } finally {
      await end(holder);
    }
    await (await layer.lock(file, soon())).release();
  });

  it('does not follow a link in place of the lock file', async () => {
    mkdirSync(join(dir, 'x'));
    symlinkSync(join(dir, 'x/elsewhere'), join(dir, 'agent.lock'));
    await rejection(layer.lock(join(dir, 'agent.lock'), soon()));
  });

  it('refuses a mount root inside the state directory, and the other way round', async () => {
    for (const [stateDir, mountRoot] of [
      ['a', 'a/m'],
      ['b/s', 'b'],
      ['c', 'c'],
    ] as const) {
      const error = await rejection(
        createNodeLayer({ stateDir: join(dir, stateDir), mountRoot: join(dir, mountRoot) }, soon()),
      );
      expect(error).to.include({ code: 'InvalidRequest' });
    }
  });
});
