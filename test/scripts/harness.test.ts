/** What every end-to-end test leans on: waits that end, and ports that are nobody else's. */
import { execFile } from 'node:child_process';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { freePorts } from '../support/harness/ports.ts';
import { Hopeless, waitFor } from '../support/harness/wait.ts';

const PORTS = join(import.meta.dirname, '../support/harness/ports.ts');

describe('waits of the tests', () => {
  it('go on through errors, and end at once when there is no hope', async () => {
    let asked = 0;
    const ask = (): boolean => {
      asked += 1;
      throw asked < 3 ? new Error('not yet') : new Hopeless('has ended');
    };
    const thrown = await waitFor(ask, { message: 'what cannot come' }).catch((error: unknown) => error);
    expect([asked, String(thrown)]).to.deep.equal([3, 'Hopeless: has ended']);
  });

  it('say what there is instead when they give up', async () => {
    const given = waitFor(() => false, { deadline: 0, message: 'nothing', instead: () => 'something' });
    expect(String(await given.catch((error: unknown) => error)))
      .to.include('nothing')
      .and.include('something');
  });
});

describe('ports of the tests', function () {
  this.timeout(120_000);

  it('are given to one process alone for as long as it lives, also while nobody listens', async () => {
    const own = await freePorts(200);
    expect(new Set(own).size).to.equal(200);
    const script = `const { freePorts } = await import(${JSON.stringify(PORTS)}); console.log(JSON.stringify(await freePorts(2000)));`;
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
    const theirs = new Set(JSON.parse(stdout) as readonly number[]);
    expect(own.filter((port) => theirs.has(port))).to.deep.equal([]);
  });

  it('can be listened on', async () => {
    const [port = 0] = await freePorts(1);
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    await new Promise((resolve) => server.close(resolve));
  });
});
