import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { readOpenClawToken, takeOpenClawToken } from '../../src/cli/openclaw-token.ts';
import { rejection } from '../node/support.ts';

describe('the token of the OpenClaw gateway', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'clawstore-token-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
    delete process.env['CLAWSTORE_OPENCLAW_TOKEN'];
  });

  it('is taken out of the environment, so that no child inherits it', () => {
    process.env['CLAWSTORE_OPENCLAW_TOKEN'] = ' secret ';
    expect(takeOpenClawToken()).to.equal('secret');
    expect(process.env).not.to.have.property('CLAWSTORE_OPENCLAW_TOKEN');
    expect(takeOpenClawToken()).to.equal(undefined);
  });

  it('is read from its file each time, which wins', async () => {
    const openclawTokenFile = join(folder, 'token');
    writeFileSync(openclawTokenFile, 'first\n');
    expect(await readOpenClawToken({ openclawTokenFile }, 'other')).to.equal('first');
    writeFileSync(openclawTokenFile, 'second');
    expect(await readOpenClawToken({ openclawTokenFile }, 'other')).to.equal('second');
    expect(await readOpenClawToken({ openclawTokenFile: undefined }, 'other')).to.equal('other');
  });

  it('is refused without being shown when the file has something else in it', async () => {
    const openclawTokenFile = join(folder, 'token');
    for (const text of ['', ' \n', 'hunter2 hunter3']) {
      writeFileSync(openclawTokenFile, text);
      const { message } = await rejection(readOpenClawToken({ openclawTokenFile }, undefined));
      expect(message).to.include('--openclaw-token-file').and.not.to.include('hunter');
    }
    rmSync(openclawTokenFile);
    expect((await rejection(readOpenClawToken({ openclawTokenFile }, undefined))).message).to.include('ENOENT');
  });
});
