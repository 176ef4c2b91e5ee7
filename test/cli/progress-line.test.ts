import { expect } from 'chai';
import { describe, it } from 'mocha';
import { describeProgress, ProgressLine } from '../../src/cli/progress-line.ts';
import { age, humanBytes, humanDuration } from '../../src/cli/units.ts';
import { condition, volume } from '../controllers/support/objects.ts';
import { until } from '../node/support.ts';

const waiting = volume('data', undefined, { conditions: [condition('Ready', 'False', 'Provisioning')] });

describe('the line of progress', () => {
  it('says why an object is not ready', () => {
    expect(describeProgress(waiting)).to.match(/^Volume data: Provisioning: /);
    expect(describeProgress(volume('data'))).to.equal('Volume data: nothing has acted on it yet');
  });

  it('is a bar where the object tells how far it is', () => {
    const progress = {
      bytesDone: 3 * 2 ** 29,
      bytesTotal: 3 * 2 ** 30,
      filesDone: 4,
      filesTotal: 9,
      bytesPerSecond: 2 ** 20,
    };
    const backup = {
      apiVersion: 'v1',
      kind: 'Backup',
      metadata: { name: 'b' },
      status: { observedGeneration: 1, progress },
    };
    expect(describeProgress(backup)).to.equal(
      'Backup b: [############............] 50 %, 1.5 GiB of 3 GiB, 4 of 9 files, 1 MiB/s',
    );
  });

  it('is written on a terminal alone, over itself, and leaves nothing behind', async () => {
    for (const isTTY of [true, false]) {
      const written: string[] = [];
      const line = new ProgressLine({ isTTY, columns: 40, write: (text) => written.push(String(text)) > 0 });
      line.show(waiting);
      if (isTTY) await until(() => written.length > 0);
      line.end();
      line.show(waiting);
      if (!isTTY) expect(written).to.deep.equal([]);
      else {
        expect(written[0]?.startsWith('\r\u001b[KVolume data: ')).to.equal(true);
        expect(written[0]?.length).to.be.at.most('\r\u001b[K'.length + 39);
        expect(written.at(-1)).to.equal('\r\u001b[K');
      }
    }
  });
});

describe('sizes and times for people', () => {
  it('are short', () => {
    expect([0, 1023, 1536, 2 ** 30, 150.4 * 2 ** 20].map(humanBytes)).to.deep.equal([
      '0 B',
      '1023 B',
      '1.5 KiB',
      '1 GiB',
      '150 MiB',
    ]);
    const durations = [0, 59_999, 90_000, 12 * 60_000 + 5000, 3_660_000, 2 * 86_400_000];
    expect(durations.map(humanDuration)).to.deep.equal(['0s', '59s', '1m30s', '12m', '1h1m', '2d']);
  });

  it('count from a time of the server, and are nothing where there is none', () => {
    expect(age('2026-01-01T00:00:00Z', Date.parse('2026-01-01T00:00:07Z'))).to.equal('7s');
    expect(age(undefined)).to.equal('');
    expect(age('2026-01-01T00:00:07Z', Date.parse('2026-01-01T00:00:00Z'))).to.equal('0s');
  });
});
