import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { RepositorySource } from '../../src/api/backup-repository.ts';
import { parseDestination, repositoryBelow, repositoryURL } from '../../src/api/repository-url.ts';

function parsed(text: string): RepositorySource {
  const destination = parseDestination(text);
  if (!destination.ok) throw new Error(destination.problem);
  return destination.source;
}
const problem = (text: string) => {
  const destination = parseDestination(text);
  return destination.ok ? undefined : destination.problem;
};

describe('parseDestination', () => {
  it('reads the four forms', () => {
    expect(parsed('s3://backups/daily/')).to.deep.equal({ s3: { bucket: 'backups', prefix: 'daily' } });
    expect(parsed('s3://backups')).to.deep.equal({ s3: { bucket: 'backups' } });
    expect(parsed('file:///srv//backups/./a')).to.deep.equal({ hostPath: { path: '/srv/backups/a' } });
    expect(parsed('/srv/backups/')).to.deep.equal({ hostPath: { path: '/srv/backups' } });
    expect(parsed('nfs://nas.example.com/export/a')).to.deep.equal({
      nfs: { server: 'nas.example.com', path: '/export/a' },
    });
    expect(parsed('nfs://[fd00::1]/export')).to.deep.equal({ nfs: { server: 'fd00::1', path: '/export' } });
    expect(parsed('nfs://nas/')).to.deep.equal({ nfs: { server: 'nas', path: '/' } });
  });

  it('reads what a bucket alone does not say', () => {
    const text = 's3://backups/a?endpoint=https://s3.example.com:9000&region=eu-1&forcePathStyle=false';
    expect(parsed(text)).to.deep.equal({
      s3: {
        bucket: 'backups',
        prefix: 'a',
        endpoint: 'https://s3.example.com:9000',
        region: 'eu-1',
        forcePathStyle: false,
      },
    });
  });

  it('refuses credentials wherever they stand, and repeats nothing of them', () => {
    for (const text of [
      's3://key:hunter2@backups/a',
      's3://backups/a?secret_access_key=hunter2',
      's3://backups/a?AWS_ACCESS_KEY_ID=hunter2',
      's3://backups/a?endpoint=https://key:hunter2@host',
      'nfs://user:hunter2@nas/export',
    ]) {
      expect(problem(text), text)
        .to.match(/credentials/)
        .and.not.contain('hunter2');
    }
  });

  it('says what is wrong with the rest', () => {
    for (const [text, words] of [
      ['backups', /must be a URL/],
      ['sftp://host/path', /must be a URL/],
      ['/', /root of the host/],
      ['file:///', /root of the host/],
      ['file://host/path', /three slashes/],
      ['/srv/../etc', /'\.\.'|"\.\."/],
      ['file:///srv/%2e%2e/etc', /"\.\."/],
      ['s3://backups/../a', /'\.\.'/],
      ['s3://B', /bucket/],
      ['s3://backups/a?endpoint=host', /endpoint/],
      ['s3://backups/a?region=EU', /region/],
      ['s3://backups/a?forcePathStyle=yes', /forcePathStyle/],
      ['s3://backups/a?other=1', /no more/],
      ['s3://backups/a#b', /#/],
      ['file:///srv?x=1', /\?/],
      ['file:///srv/%zz', /hexadecimal/],
      ['nfs://nas', /exported directory/],
      ['nfs://nas:2049/export', /port/],
      ['/srv/a\nb', /control/],
    ] as const) {
      expect(problem(text), text).to.match(words);
    }
  });
});

describe('repositoryURL', () => {
  const sources: readonly RepositorySource[] = [
    { s3: { bucket: 'backups' } },
    { s3: { bucket: 'backups', prefix: 'a b/100%/x?y#z', endpoint: 'http://[fd00::1]:9000', region: 'eu-1' } },
    { s3: { bucket: 'backups', endpoint: 'http://127.0.0.1:1', forcePathStyle: false } },
    { hostPath: { path: '/srv/ä b/%41' } },
    { nfs: { server: 'fd00::1', path: '/export/a' } },
    { nfs: { server: 'nas', path: '/' } },
  ];

  it('says all that another control plane needs', () => {
    for (const source of sources) expect(parsed(repositoryURL(source)), repositoryURL(source)).to.deep.equal(source);
  });

  it('has no credentials and no names of Secrets, and one form for one place', () => {
    const s3 = { bucket: 'b-1', prefix: 'p', credentialsSecretRef: { name: 'keys' }, region: 'us-east-1' };
    expect(repositoryURL({ s3 })).to.equal('s3://b-1/p');
    expect(repositoryURL({ s3: { ...s3, endpoint: 'https://h', forcePathStyle: true } })).to.equal(
      's3://b-1/p?endpoint=https://h',
    );
    expect(repositoryURL({ hostPath: { path: '/srv//a/' } })).to.equal('file:///srv/a');
    expect(repositoryURL({ nfs: { server: 'nas', path: '/', subPath: 'a' } })).to.equal('nfs://nas/a');
  });

  it('gives each namespace a place of its own below a destination', () => {
    const below = (text: string) => repositoryURL(repositoryBelow(parsed(text), 'team'));
    expect(below('s3://backups/daily?endpoint=http://h')).to.equal('s3://backups/daily/team?endpoint=http://h');
    expect(below('s3://backups')).to.equal('s3://backups/team');
    expect(below('/srv/backups')).to.equal('file:///srv/backups/team');
    expect(below('nfs://nas/export')).to.equal('nfs://nas/export/team');
  });
});
