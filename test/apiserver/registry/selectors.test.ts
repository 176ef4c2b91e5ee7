import { expect } from 'chai';
import { describe, it } from 'mocha';
import { StatusError } from '../../../src/apiserver/http/errors.ts';
import { parseLabelSelector } from '../../../src/apiserver/registry/selectors.ts';

const matches = (selector: string, labels: Record<string, string> | undefined): boolean => {
  const matcher = parseLabelSelector(selector);
  return matcher === undefined || matcher({ metadata: labels === undefined ? {} : { labels } });
};

describe('parseLabelSelector', () => {
  const cases: readonly (readonly [selector: string, labels: Record<string, string> | undefined, expected: boolean])[] =
    [
      ['', undefined, true],
      ['a=b', { a: 'b' }, true],
      ['a==b', { a: 'c' }, false],
      ['a!=b', undefined, true],
      ['a!=b', { a: 'b' }, false],
      ['a', { a: '' }, true],
      ['!a', { b: 'x' }, true],
      ['! a', { a: 'x' }, false],
      ['a in (x, y)', { a: 'y' }, true],
      ['a in (x,y)', undefined, false],
      ['a notin (x,y)', undefined, true],
      ['a notin (x,y)', { a: 'x' }, false],
      ['a in ()', { a: '' }, true],
      ['a=', { a: '' }, true],
      ['a=,b=c', { a: '', b: 'c' }, true],
      ['a > 5', { a: '12' }, true],
      ['a < 5', { a: '12' }, false],
      ['a > 5', { a: 'x' }, false],
      ['example.com/a=b,c', { 'example.com/a': 'b', c: 'd' }, true],
      ['constructor', { a: 'b' }, false],
    ];
  for (const [selector, labels, expected] of cases) {
    it(`${JSON.stringify(selector)} ${expected ? 'selects' : 'leaves out'} ${JSON.stringify(labels)}`, () => {
      expect(matches(selector, labels)).to.equal(expected);
    });
  }

  for (const selector of ['=b', 'a b', 'a in x', 'a in (x', 'a=b=c', 'a>x', 'A/b/c=1', 'a=b,,c', 'a=(', '&']) {
    it(`${JSON.stringify(selector)} is refused`, () => {
      expect(() => parseLabelSelector(selector))
        .to.throw(StatusError, /unable to parse requirement|found '.*', expected/)
        .with.property('code', 400);
    });
  }
});
