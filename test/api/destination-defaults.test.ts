import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { DestinationDefaults } from '../../src/api/destination-defaults.ts';
import { completedSource, defaultsFor } from '../../src/api/destination-defaults.ts';
import { parseDestination } from '../../src/api/repository-url.ts';

const all: readonly DestinationDefaults[] = [
  { url: 's3://backups', endpoint: 'https://a.example', credentialsSecret: 'of-the-bucket' },
  { url: 's3://backups/daily/', endpoint: 'https://a.example', region: 'eu-1', credentialsSecret: 'of-daily' },
  { url: '/srv/backups', keySecret: 'of-the-directory' },
  { url: 'nfs://files.example/export', volumeClass: 'nfs' },
];

function source(url: string) {
  const destination = parseDestination(url);
  if (!destination.ok) throw new Error(destination.problem);
  return destination.source;
}

describe('defaults of destinations', () => {
  it('are the most specific ones of what a destination lies at or below', () => {
    const expected: Readonly<Record<string, string | undefined>> = {
      's3://backups': 's3://backups',
      's3://backups/': 's3://backups',
      's3://backups/other/daily': 's3://backups',
      's3://backups/daily': 's3://backups/daily/',
      's3://backups/daily/1': 's3://backups/daily/',
      's3://backups/daily-2': 's3://backups',
      's3://backups2/daily': undefined,
      'file:///srv/backups/x': '/srv/backups',
      '/srv/backups2': undefined,
      'nfs://files.example/export/x': 'nfs://files.example/export',
      'nfs://other.example/export/x': undefined,
    };
    for (const [url, at] of Object.entries(expected)) expect(defaultsFor(source(url), all)?.url, url).to.equal(at);
  });

  it('complete what the destination does not say itself', () => {
    const given = source('s3://backups/daily?region=eu-2');
    expect(completedSource(given, defaultsFor(given, all))).to.deep.equal({
      s3: {
        bucket: 'backups',
        prefix: 'daily',
        endpoint: 'https://a.example',
        region: 'eu-2',
        credentialsSecretRef: { name: 'of-daily' },
      },
    });
    expect(completedSource(given, undefined)).to.equal(given);
  });

  it('send no credentials of one server to another', () => {
    const elsewhere = source('s3://backups/daily?endpoint=https://b.example');
    expect(defaultsFor(elsewhere, all)).to.equal(undefined);
    const same = source('s3://backups/daily?endpoint=https://a.example');
    expect(defaultsFor(same, all)?.credentialsSecret).to.equal('of-daily');
  });
});
