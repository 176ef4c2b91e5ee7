import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';

const ROOT = join(import.meta.dirname, '../..');
const PAGES = globSync(['*.md', '{docs,bench,manifests,integrations,test,e2e}/**/*.md'], { cwd: ROOT }).map((page) =>
  join(ROOT, page),
);

interface Link {
  readonly page: string;
  readonly target: string;
}

/** Text without code, in which brackets are no links. */
function prose(page: string): string {
  return readFileSync(page, 'utf8')
    .replaceAll(/^(```|~~~).*?^\1/gms, '')
    .replaceAll(/`[^`\n]*`/g, '');
}

function linksOf(page: string): readonly Link[] {
  return [...prose(page).matchAll(/\]\(([^)\s]+)(?:\s+"[^"]*")?\)/g)]
    .map(([, target = '']) => ({ page, target }))
    .filter(({ target }) => !/^[a-z][a-z0-9+.-]*:/.test(target));
}

/** Anchors as GitHub makes them of headings: lower case, without punctuation, spaces as hyphens, numbered when repeated. */
function anchorsOf(page: string): ReadonlySet<string> {
  const text = readFileSync(page, 'utf8').replaceAll(/^(```|~~~).*?^\1/gms, '');
  const seen = new Map<string, number>();
  const anchors = new Set<string>();
  for (const [, heading = ''] of text.matchAll(/^#{1,6}\s+(.*?)\s*#*$/gm)) {
    const words = heading.replaceAll(/\]\([^)]*\)/g, '').toLowerCase();
    const slug = words.replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, '').replaceAll(' ', '-');
    const count = seen.get(slug) ?? 0;
    seen.set(slug, count + 1);
    anchors.add(count === 0 ? slug : `${slug}-${count}`);
  }
  return anchors;
}

/** What is wrong with a link; undefined when nothing is. */
function fault({ page, target }: Link): string | undefined {
  const [path = '', anchor] = target.split('#');
  const file = path === '' ? page : resolve(dirname(page), decodeURIComponent(path));
  const says = (what: string): string => `${relative(ROOT, page)}: ${target}: ${what}`;
  if (relative(ROOT, file).startsWith('..')) return says('leads out of the checkout');
  if (!existsSync(file)) return says('is not there');
  if (anchor === undefined || statSync(file).isDirectory() || !file.endsWith('.md')) return undefined;
  return anchorsOf(file).has(anchor) ? undefined : says('no heading has this anchor');
}

describe('links of the documents', () => {
  const links = PAGES.flatMap(linksOf);

  it('lead to files and headings that exist', () => {
    expect(links.length, 'links that were found').to.be.greaterThan(50);
    expect(links.map(fault).filter((one) => one !== undefined)).to.deep.equal([]);
  });

  it('would be found missing', () => {
    const page = join(ROOT, 'README.md');
    expect(fault({ page, target: 'docs/no-such-page.md' })).to.contain('is not there');
    expect(fault({ page, target: 'docs/troubleshooting.md#no-such-heading' })).to.contain('no heading');
    expect(fault({ page, target: 'docs/troubleshooting.md#nodelost' })).to.equal(undefined);
  });

  it('reach every document from the README', () => {
    const reached = new Set<string>([join(ROOT, 'README.md')]);
    for (const page of reached) {
      for (const { target } of linksOf(page)) {
        const path = target.split('#')[0] ?? '';
        const file = resolve(dirname(page), decodeURIComponent(path));
        if (path.endsWith('.md') && existsSync(file)) reached.add(file);
      }
    }
    const pages = globSync('docs/*.md', { cwd: ROOT }).map((page) => join(ROOT, page));
    expect(pages.filter((page) => !reached.has(page)).map((page) => relative(ROOT, page))).to.deep.equal([]);
  });
});
