/**
 * Every server gives to each case the answer of kube-apiserver v1.34.4, kept in answers/SUBJECT.json; the real one runs
 * besides, so that no recorded answer is a wish. What the embedded server does otherwise on purpose is in differences.ts.
 * To record anew what the real one says: `RECORD_ANSWERS=1 node scripts/test.ts --suite contract --spec FILE`.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { SUBJECTS } from './cases/index.ts';
import type { Case } from './cases/support.ts';
import { type Answer, CaseClient } from './client.ts';
import { DIFFERENCES } from './differences.ts';
import { type RunningServer, SERVERS } from './servers.ts';

const recording = process.env['RECORD_ANSWERS'] === '1';
type Answers = Record<string, readonly Answer[]>;

const fileOf = (subject: string): URL => new URL(`./answers/${subject}.json`, import.meta.url);
const recordedOf = (subject: string): Answers => {
  const file = fileOf(subject);
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Answers) : {};
};

describe('conformance cases', () => {
  const cases = SUBJECTS.flatMap((subject) => subject.cases.map(({ name }) => `${subject.name}: ${name}`));

  it('are at least 200, each with a name of its own', () => {
    expect(cases.length).to.be.at.least(200);
    expect(new Set(cases).size).to.equal(cases.length);
  });

  it('have recorded answers, and no others are recorded', () => {
    if (recording) return;
    for (const { name, cases: own } of SUBJECTS) {
      expect(Object.keys(recordedOf(name)), name).to.have.members(own.map((one) => one.name));
    }
  });

  it('differ only as the documentation says', () => {
    const page = readFileSync(new URL('../../../docs/apiserver-differences.md', import.meta.url), 'utf8');
    for (const { subject, case: name, why } of DIFFERENCES) {
      const row = page.split('\n').find((line) => line.startsWith(`| ${why} |`));
      expect(row, why).to.include(`*${subject}: ${name}*`);
    }
  });

  it('are what the accepted differences are about', () => {
    for (const { subject, case: name } of DIFFERENCES) expect(cases).to.include(`${subject}: ${name}`);
  });
});

/** "Any version" is answered by the real server from its cache, which may not have what was made a moment ago. */
function mayLag({ steps }: Case): boolean {
  return steps.some(({ path }) => /[?&]resourceVersion=0(&|$)/.test(path));
}

for (const { name: server, start } of SERVERS.toReversed()) {
  describe(`answers of the ${server} API server`, function () {
    this.timeout(120_000);
    let running: RunningServer;
    let client: CaseClient;

    before(async () => {
      running = await start();
      client = new CaseClient(running.target);
    });

    after(() => client?.close());

    for (const { name: subject, cases } of SUBJECTS) {
      describe(subject, () => {
        const recorded = recording && server === 'real' ? {} : recordedOf(subject);

        after(() => {
          if (!recording || server !== 'real') return;
          mkdirSync(new URL('.', fileOf(subject)), { recursive: true });
          writeFileSync(fileOf(subject), `${JSON.stringify(recorded, null, 1)}\n`);
        });

        for (const scenario of cases) {
          it(scenario.name, async () => {
            let answers = await client.run(scenario);
            if (recording && server === 'real') {
              (recorded as Record<string, readonly Answer[]>)[scenario.name] = answers;
              return;
            }
            const current = recording ? recordedOf(subject) : recorded;
            expect(current, 'a recorded answer').to.have.property(scenario.name);
            const expected = current[scenario.name] ?? [];
            for (let again = 0; again < 5 && mayLag(scenario) && !isDeepStrictEqual(answers, expected); again += 1) {
              answers = await client.run(scenario);
            }
            const accepted = DIFFERENCES.find((one) => one.subject === subject && one.case === scenario.name);
            if (server === 'embedded' && accepted !== undefined) {
              expect(answers, 'a difference that is gone').to.not.deep.equal(expected);
              expect(accepted.reduce(answers)).to.deep.equal(accepted.reduce(expected));
            } else expect(answers).to.deep.equal(expected);
          });
        }
      });
    }
  });
}
