import { expect } from 'chai';
import { describe, it } from 'mocha';
import { CliError } from '../../src/cli/exit-code.ts';
import { parseFormat, render, renderTable } from '../../src/cli/output.ts';

describe('output', () => {
  it('lays columns out as wide as their widest cell, without trailing blanks', () => {
    expect(
      renderTable(
        ['name', 'phase'],
        [
          ['a', 'Pending'],
          ['longer-name', ''],
        ],
      ),
    ).to.equal('NAME          PHASE\na             Pending\nlonger-name\n');
  });

  it('prints a result with a list as two tables', async () => {
    const text = await render({ total: 1, volumes: [{ volumeId: 'x', ready: true }] }, 'table');
    expect(text).to.equal('FIELD   VALUE\ntotal   1\n\nVOLUMEID   READY\nx          true\n');
  });

  it('prints JSON and YAML that read back as the same value', async () => {
    const value = { name: 'x', list: [1, 2], nested: { a: null } };
    expect(JSON.parse(await render(value, 'json'))).to.deep.equal(value);
    const { parse } = await import('yaml');
    expect(parse(await render(value, 'yaml'))).to.deep.equal(value);
  });

  it('refuses an unknown format by name', () => {
    expect(() => parseFormat('xml')).to.throw(CliError, '"xml"');
  });
});
