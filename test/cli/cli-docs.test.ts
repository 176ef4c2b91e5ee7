import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { CLI_DOCS_FILE, renderCliDocs } from '../../scripts/cli-docs.ts';

describe('docs/cli.md', () => {
  it('is what `node scripts/cli-docs.ts` makes of the program', async () => {
    expect(readFileSync(CLI_DOCS_FILE, 'utf8')).to.equal(await renderCliDocs());
  });
});
