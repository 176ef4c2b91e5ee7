import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { serveApi } from '../../src/cli/serve-api.ts';

describe('serveApi', () => {
  let directory: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'clawstore-serve-'));
  });

  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('leaves no server behind when it cannot write where others find it, and names the file', async () => {
    const state = join(directory, 'apiserver');
    const kubeconfig = join(directory, 'kubeconfig');
    mkdirSync(join(kubeconfig, 'in-the-way'), { recursive: true });
    const failure = await serveApi({
      directory: state,
      kubeconfig,
      listen: { host: '127.0.0.1', port: 0 },
      auditLog: undefined,
      logLevel: 'error',
    }).then(
      () => undefined,
      (thrown: unknown) => thrown as Error,
    );
    expect(failure?.message).to.include(`cannot write ${kubeconfig}: `);
    expect(existsSync(join(state, 'apiserver.lock')), 'the lock of a server').to.equal(false);
  });
});
