import { expect } from 'chai';
import { describe, it } from 'mocha';
import { CliError, ExitCode } from '../../src/cli/exit-code.ts';
import { resolveSettings } from '../../src/cli/settings.ts';
import { parseSource, SourceSpecError, sourceId, sourceText } from '../../src/sync/source-spec.ts';

const git = (text: string): object => {
  const spec = parseSource(text);
  if (spec.type !== 'git') throw new Error(`${text} is taken for a folder`);
  const { url, ref, path, protocol } = spec;
  return { url, ref, path, protocol };
};

describe('what --sync names', () => {
  it('is a folder', () => {
    expect(parseSource('/etc/manifests/')).to.deep.equal({ type: 'folder', path: '/etc/manifests' });
    expect(parseSource('/srv/../etc/a:b')).to.deep.equal({ type: 'folder', path: '/etc/a:b' });
  });

  it('is a repository, with a branch and a folder in it', () => {
    const url = 'https://git.example/team/storage.git';
    expect(git(url)).to.deep.equal({ url, ref: 'HEAD', path: '', protocol: 'https' });
    expect(git(`${url}#main`)).to.include({ url, ref: 'refs/heads/main', path: '' });
    expect(git(`${url}#feature/x:nodes/gpu-7/`)).to.include({ ref: 'refs/heads/feature/x', path: 'nodes/gpu-7' });
    expect(git(`${url}#:./nodes//a`)).to.include({ ref: 'HEAD', path: 'nodes/a' });
    expect(git(`${url}#refs/tags/v1.2`)).to.include({ ref: 'refs/tags/v1.2' });
    expect(git('ssh://git@git.example:2222/a.git#main')).to.include({ protocol: 'ssh' });
    expect(git('git@git.example:team/a.git#main')).to.include({ url: 'git@git.example:team/a.git', protocol: 'ssh' });
    expect(git('file:///srv/git/a.git')).to.include({ protocol: 'file' });
  });

  const refused: readonly (readonly [string, string])[] = [
    ['', 'names no folder'],
    ['#main', 'names no folder'],
    ['manifests', 'must be the absolute path of a folder, or'],
    ['git.example/team/a.git', 'must be the absolute path of a folder, or'],
    ['git.example:team/a.git', 'must be the absolute path of a folder, or'],
    ['/etc/manifests#main', 'a folder has no branch'],
    ['ext::sh -c true', 'helpers of Git'],
    ['git://git.example/a.git', 'must be the absolute path of a folder, or'],
    ['ftp://git.example/a.git', 'must be the absolute path of a folder, or'],
    ['https://git.example/a.git?x=1', 'query'],
    ['https:///a.git', 'must be the absolute path of a folder, or'],
    ['http://127.0.0.1\\@git.example/a.git', 'must be the absolute path of a folder, or'],
    ['file://host/a.git', 'three slashes'],
    ['https://git.example/a.git#--upload-pack=x', 'not the name of a branch'],
    ['https://git.example/a.git#a..b', 'not the name of a branch'],
    ['https://git.example/a.git#a.lock', 'not the name of a branch'],
    ['https://git.example/a.git#main:../..', 'leaves the repository'],
    ['https://git.example/a\n.git', 'control characters'],
  ];
  for (const [text, message] of refused) {
    it(`is refused with the reason: ${JSON.stringify(text)}`, () => {
      expect(() => parseSource(text)).to.throw(SourceSpecError, message);
    });
  }

  it('never has a password in it, and the refusal does not repeat it', () => {
    for (const text of [
      'https://me:hunter2@git.example/a.git',
      'https://hunter2@git.example/a',
      'ssh://me:hunter2@h/a',
    ]) {
      expect(() => parseSource(text))
        .to.throw(SourceSpecError, '--sync-credentials-file')
        .with.property('message')
        .not.include('hunter2');
    }
  });

  it('is the same source on another branch, and another one elsewhere', () => {
    const id = (text: string): string => sourceId(parseSource(text));
    expect(id('https://h/a#main:x')).to.equal(id('https://h/a#next:x'));
    const others = ['https://h/a#main:x', 'https://h/a#main:y', 'https://h/b#main:x', '/a', '/b'].map(id);
    expect(new Set(others).size).to.equal(others.length);
    for (const one of others) expect(one).to.match(/^[0-9a-z]{1,63}$/);
  });

  it('is said again as it was given', () => {
    for (const text of [
      '/etc/manifests',
      'https://h/a',
      'https://h/a#main',
      'https://h/a#main:x/y',
      'https://h/a#:x',
    ]) {
      expect(sourceText(parseSource(text))).to.equal(text);
    }
  });
});

describe('the settings of a sync', () => {
  it('are off, and looked at every minute', () => {
    expect(resolveSettings({})).to.include({ sync: undefined, syncInterval: 60_000, syncAllowEmpty: false });
    expect(resolveSettings({ sync: 'off' }).sync).to.equal(undefined);
  });

  it('take http:// only where nobody can be on the way', () => {
    expect(resolveSettings({ sync: 'http://127.0.0.1:3000/a.git' }).sync).to.include({ protocol: 'http' });
    expect(() => resolveSettings({ sync: 'http://git.example/a.git' })).to.throw(CliError, '--sync: http://');
  });

  for (const [raw, flag] of [
    [{ sync: 'git://h/a' }, '--sync: '],
    [{ syncInterval: '0' }, '--sync-interval: '],
    [{ syncInterval: 'soon' }, '--sync-interval: '],
    [{ syncAllowEmpty: 'yes' }, '--sync-allow-empty: '],
    [{ syncCredentialsFile: 'relative' }, '--sync-credentials-file: '],
  ] as const) {
    it(`are refused by name: ${JSON.stringify(raw)}`, () => {
      expect(() => resolveSettings(raw))
        .to.throw(CliError, flag)
        .with.property('exitCode', ExitCode.usage);
    });
  }
});
