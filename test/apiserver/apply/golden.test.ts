import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { type Answer, type ApplyCase, answer } from './support/cases.ts';

interface Recorded {
  readonly case: ApplyCase;
  readonly expected: Answer;
}

/** Recorded with e2e/tools/smd from the code of kube-apiserver 1.34. */
const recorded = gunzipSync(readFileSync(new URL('./golden.jsonl.gz', import.meta.url)))
  .toString('utf8')
  .split('\n')
  .map((line) => JSON.parse(line) as Recorded);

const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

describe('apply: recorded answers of kube-apiserver', () => {
  const groups = new Map<string, Recorded[]>();
  for (const record of recorded) {
    const name = `${record.case.operation} answered ${record.expected.code ?? 200}`;
    groups.set(name, [...(groups.get(name) ?? []), record]);
  }

  it('cover successful and failed writes', () => {
    expect([...groups.keys()]).to.include.members(['Apply answered 200', 'Apply answered 409', 'Update answered 200']);
    expect(recorded.length).to.be.at.least(200);
  });

  for (const [name, records] of groups) {
    it(`${name}: ${records.length} cases agree`, () => {
      for (const { case: given, expected } of records) {
        const { raw: _, ...ours } = answer(given);
        expect(plain(ours)).to.deep.equal(expected);
      }
    });
  }

  it('are reproduced without changing what was passed in', () => {
    for (const { case: given } of recorded) {
      const before = JSON.stringify(given);
      answer(given);
      expect(JSON.stringify(given)).to.equal(before);
    }
  });
});
