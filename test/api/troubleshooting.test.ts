import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { ALERTS, renderTroubleshooting, TROUBLESHOOTING_FILE } from '../../scripts/troubleshooting-docs.ts';
import { isReason, REASONS, type Reason } from '../../src/api/reasons.ts';
import { ORDINARY, REMEDY_TOPICS, remedyFor } from '../../src/api/remedies/index.ts';
import { readRules } from '../support/monitoring.ts';

const documented = REMEDY_TOPICS.flatMap(({ remedies }) => Object.keys(remedies));

describe('what to do about a reason', () => {
  it('is said once of every reason that is not ordinary', () => {
    const places = (reason: string) => [...documented, ...ORDINARY].filter((name) => name === reason).length;
    const wrong = Object.keys(REASONS).filter((reason) => places(reason) !== 1);
    expect(wrong, 'reasons that no table of src/api/remedies has, or that several have').to.deep.equal([]);
  });

  for (const { title, remedies } of REMEDY_TOPICS) {
    it(`is whole sentences: ${title}`, () => {
      for (const [reason, remedy] of Object.entries(remedies)) {
        expect(remedyFor(reason as Reason)).to.equal(remedy);
        for (const text of [remedy.affected, remedy.action]) expect(text, reason).to.match(/^[A-Z`].*[.]$/);
      }
    });
  }

  it('is nothing for an ordinary one', () => {
    expect(ORDINARY.map(remedyFor).filter((remedy) => remedy !== undefined)).to.deep.equal([]);
  });

  it('is said of nothing that is not a reason', () => {
    expect(documented.filter((name) => !isReason(name))).to.deep.equal([]);
  });
});

describe('docs/troubleshooting.md', () => {
  it('says of every alert which reasons mostly stand behind it', () => {
    expect(Object.keys(ALERTS)).to.have.members(readRules().map(({ alert }) => alert));
    expect(
      Object.values(ALERTS)
        .flat()
        .filter((reason) => remedyFor(reason) === undefined),
    ).to.deep.equal([]);
  });

  it('is what `node scripts/api-docs.ts` makes of reasons and remedies', () => {
    expect(readFileSync(TROUBLESHOOTING_FILE, 'utf8')).to.equal(renderTroubleshooting());
  });
});
