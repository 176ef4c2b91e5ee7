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
    expect(recorded.length).to.be.at.least(500);
  });

  it('cover conflicts in several fields and with several owners, and every depth of nesting', () => {
    const conflicts = recorded.filter(({ expected }) => expected.code === 409);
    const owners = conflicts.map(
      ({ expected: { causes = [] } }) =>
        new Set(causes.map((cause) => (cause as { readonly message: string }).message)),
    );
    expect(conflicts.filter(({ expected: { causes = [] } }) => causes.length > 1)).to.have.length.above(50);
    expect(owners.filter(({ size }) => size > 1)).to.have.length.above(20);
    const fields = recorded.flatMap(({ expected }) => expected.fields ?? []);
    for (const part of [
      'f:parts":{"k:{',
      'f:hosts":{"v:',
      'f:verbs":{"v:',
      'k:{\\"port\\":443,\\"protocol',
      'f:exact":{}',
      'f:status":',
    ]) {
      expect(
        fields.some((text) => text.includes(part.replaceAll('\\\\', '\\'))),
        part,
      ).to.equal(true);
    }
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
