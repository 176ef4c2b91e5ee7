import { expect } from 'chai';
import { describe, it } from 'mocha';
import { parseDestinations } from '../../src/cli/destinations.ts';
import { CliError, ExitCode } from '../../src/cli/exit-code.ts';

describe('destinations of the config file', () => {
  it('map URLs to how a repository there is reached, and with which Secrets', () => {
    const minio = {
      endpoint: 'https://minio.example:9000',
      region: 'eu-1',
      forcePathStyle: true,
      credentialsSecret: 'minio',
      caBundle: 'minio-ca',
      keySecret: 'backup-key',
      volumeClass: 'backups',
    };
    const given = { 's3://backups': minio, 'file:///srv/backups': { keySecret: 'k' }, 'nfs://files.example/e': null };
    expect(parseDestinations(given)).to.deep.equal([
      { url: 's3://backups', ...minio },
      { url: 'file:///srv/backups', keySecret: 'k' },
      { url: 'nfs://files.example/e' },
    ]);
    expect(parseDestinations(undefined)).to.deep.equal([]);
  });

  const refused: readonly (readonly [unknown, string])[] = [
    [['s3://backups'], 'destinations must be a mapping'],
    [{ 'ftp://x/y': {} }, 'destinations one of the URLs'],
    [{ 's3://key:hunter2@backups': {} }, 'destinations one of the URLs'],
    [{ 's3://backups?endpoint=https://a': {} }, 'destinations["s3://backups?endpoint=https://a"]'],
    [{ 's3://backups': 'minio' }, 'destinations["s3://backups"] must be a mapping'],
    [{ 's3://backups': { password: 'hunter2' } }, 'destinations["s3://backups"].password is unknown'],
    [{ 's3://backups': { forcePathStyle: 'yes' } }, '.forcePathStyle must be true or false'],
    [{ 's3://backups': { keySecret: 7 } }, '.keySecret must be text'],
    [{ 's3://backups': { keySecret: 'No_Name' } }, '.keySecret is not a DNS-1123 name'],
    [{ 's3://backups': { endpoint: 'minio' } }, 'destinations["s3://backups"] has an endpoint'],
    [{ '/srv/backups': { endpoint: 'https://a' } }, '.endpoint is for s3:// alone'],
  ];
  for (const [given, message] of refused) {
    it(`are refused where ${JSON.stringify(given).replace('hunter2', '…')}`, () => {
      expect(() => parseDestinations(given))
        .to.throw(CliError, message)
        .with.property('exitCode', ExitCode.usage);
      expect(() => parseDestinations(given)).to.not.throw(/hunter2/);
    });
  }
});
