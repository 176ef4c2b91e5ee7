/**
 * Every server gives to each case the answer of kube-apiserver v1.34.4, kept in apiserver-answers.json. To record them
 * anew: `RECORD_ANSWERS=1 CONTRACT_SERVERS=real CONTRACT_KUBECONFIG=FILE mocha test/contract/apiserver-answers.test.ts`.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { CASES } from './apiserver-cases.ts';
import { type Answer, CaseClient } from './apiserver-client.ts';
import { type RunningServer, SERVERS } from './apiserver-servers.ts';

const FILE = new URL('./apiserver-answers.json', import.meta.url);
const recording = process.env['RECORD_ANSWERS'] === '1';
const recorded = (existsSync(FILE) ? JSON.parse(readFileSync(FILE, 'utf8')) : {}) as Record<string, readonly Answer[]>;

for (const { name, start } of SERVERS) {
  describe(`answers of the ${name} API server`, function () {
    this.timeout(120_000);
    let server: RunningServer;
    let client: CaseClient;

    before(async () => {
      server = await start();
      client = new CaseClient(server.target);
    });

    after(async () => {
      if (recording) writeFileSync(FILE, `${JSON.stringify(recorded, null, 1)}\n`);
      await client.close();
      await server.end();
    });

    for (const scenario of CASES) {
      it(scenario.name, async () => {
        const answers = await client.run(scenario);
        if (recording) recorded[scenario.name] = answers;
        expect(recorded, 'a recorded answer').to.have.property(scenario.name);
        expect(answers).to.deep.equal(recorded[scenario.name]);
      });
    }
  });
}
