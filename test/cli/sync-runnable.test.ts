import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { CliError, ExitCode } from '../../src/cli/exit-code.ts';
import { resolveSettings } from '../../src/cli/settings.ts';
import { refuseSyncElsewhere, type SyncDependencies, syncOf } from '../../src/cli/sync-runnable.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';

const dependencies = (raw: Readonly<Record<string, string>>): SyncDependencies =>
  ({ settings: resolveSettings(raw), directory: '/nowhere', metrics: createMetrics() }) as unknown as SyncDependencies;

describe('the sync of clawstore up', () => {
  let before: string | undefined;
  beforeEach(() => {
    before = process.env['GIT_SSH_COMMAND'];
    delete process.env['GIT_SSH_COMMAND'];
  });
  afterEach(() => {
    if (before === undefined) delete process.env['GIT_SSH_COMMAND'];
    else process.env['GIT_SSH_COMMAND'] = before;
  });

  it('is none without a source', async () => {
    expect(await syncOf(dependencies({}))).to.equal(undefined);
  });

  it('takes no key that happens to be there: for ssh it must be told how to log in', async () => {
    const ssh = dependencies({ sync: 'ssh://git@git.example/a.git' });
    const refusal = await syncOf(ssh).catch((thrown: unknown) => thrown);
    expect(refusal).to.be.instanceOf(CliError).with.property('message').that.includes("GIT_SSH_COMMAND='ssh -i");
    expect(refusal).to.have.property('exitCode', ExitCode.usage);
    process.env['GIT_SSH_COMMAND'] = 'ssh -i /key';
    expect(await syncOf(ssh)).to.deep.include({ name: 'sync', hasRun: false });
  });

  it('has credentials for https alone', async () => {
    const wrong = dependencies({ sync: 'file:///srv/a.git', syncCredentialsFile: '/etc/credentials' });
    expect(await syncOf(wrong).catch((thrown: unknown) => thrown))
      .to.be.instanceOf(CliError)
      .with.property('message')
      .that.includes('--sync-credentials-file: is for https://');
    const right = dependencies({ sync: 'https://git.example/a.git', syncCredentialsFile: '/etc/credentials' });
    expect(await syncOf(right)).to.have.property('hasRun', false);
  });

  it('is refused by everything but "up"', () => {
    const settings = resolveSettings({ sync: '/etc/manifests' });
    expect(() => refuseSyncElsewhere(settings, false)).to.throw(CliError, 'only "clawstore up" syncs');
    expect(() => refuseSyncElsewhere(settings, true)).not.to.throw();
    expect(() => refuseSyncElsewhere(resolveSettings({}), false)).not.to.throw();
  });
});
