import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { API_DOCS_FILE, renderApiDocs } from '../../scripts/api-docs.ts';

describe('docs/api.md', () => {
  it('is what `node scripts/api-docs.ts` makes of the CRDs and reasons', () => {
    expect(readFileSync(API_DOCS_FILE, 'utf8')).to.equal(renderApiDocs());
  });
});
