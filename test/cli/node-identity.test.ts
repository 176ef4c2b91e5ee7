import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { nodeIdentity } from '../../src/cli/node-identity.ts';
import { stateDirOf } from '../../src/cli/state-dir.ts';

describe('the identity of an installation', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'clawstore-identity-'));
    mkdirSync(join(folder, 'state'));
    mkdirSync(join(folder, 'run'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const identity = (name = 'n'): string =>
    nodeIdentity(stateDirOf(join(folder, 'state')), join(folder, 'run/mounts'), name);

  it('stays the same when it is asked again, when /run is emptied by a boot, and when the state directory is lost', () => {
    const first = identity();
    expect(identity()).to.equal(first);
    rmSync(join(folder, 'run'), { recursive: true });
    mkdirSync(join(folder, 'run'));
    expect(identity()).to.equal(first);
    rmSync(join(folder, 'state'), { recursive: true });
    mkdirSync(join(folder, 'state'));
    expect(identity()).to.equal(first);
  });

  it('is another one for another installation, and readable by its owner alone', () => {
    const first = identity();
    rmSync(folder, { recursive: true });
    mkdirSync(join(folder, 'state'), { recursive: true });
    mkdirSync(join(folder, 'run'));
    expect(identity()).to.not.equal(first);
    expect(statSync(join(folder, 'state/node-id')).mode & 0o777).to.equal(0o600);
  });
});
