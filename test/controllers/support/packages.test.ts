import { randomBytes } from 'node:crypto';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Secret } from '../../../src/api/core.ts';
import { pack, unpack } from '../../../src/controllers/support/packages.ts';

function asSecret(data: Readonly<Record<string, string>>): Secret {
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data };
}

describe('a package of files', function () {
  this.timeout(120_000);
  const files = new Map([
    ['a.json', '{"ä": 1}'],
    ['large', randomBytes(1_300_000).toString('base64')],
  ]);

  it('takes as many Secrets as it needs, none of which is too large, and comes out as it went in', async () => {
    const secrets = (await pack(files)).map(asSecret);
    expect(secrets.length).to.be.greaterThan(1);
    const sizes = secrets.map(({ data = {} }) =>
      Object.values(data).reduce((sum, text) => sum + Buffer.from(text, 'base64').length, 0),
    );
    expect(Math.max(...sizes)).to.be.lessThan(1_000_000);
    expect(await unpack(secrets)).to.deep.equal(files);
  });

  it('is never less than the whole', async () => {
    const secrets = (await pack(files)).map(asSecret);
    for (const some of [secrets.slice(1), secrets.slice(0, -1), []]) {
      expect(
        await unpack(some).then(
          () => 'unpacked',
          (error: unknown) => (error as Error).name,
        ),
      ).to.equal('RangeError');
    }
  });
});
