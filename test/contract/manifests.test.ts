import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { parse, stringify } from 'yaml';
import { ExitCode } from '../../src/cli/exit-code.ts';
import { exec } from '../support/harness/exec.ts';
import { Kubectl } from '../support/harness/kubectl.ts';
import { type DaemonSet, MOUNT_HOLDER_MANIFEST } from '../support/harness/mount-holder-manifest.ts';
import type { RealControlPlane } from '../support/harness/real-control-plane.ts';
import { makeDirectory } from '../support/harness/run.ts';
import { endSharedPlane, sharedPlane } from './shared-planes.ts';

const MAIN = join(import.meta.dirname, '../../src/main.ts');
const MANIFESTS = join(import.meta.dirname, '../../manifests');

describe('manifests for a cluster, at a real kube-apiserver', function () {
  this.timeout(120_000);
  let plane: RealControlPlane;
  let kubectl: Kubectl;
  const home = makeDirectory('manifests');

  before(async () => {
    plane = await sharedPlane('crds');
    kubectl = await Kubectl.for(plane.kubeconfig, home);
  });

  after(async () => {
    await endSharedPlane('crds');
    rmSync(home, { recursive: true });
  });

  it('accepts the mount holder, every field of it, a second time without a change', async () => {
    const apply = ['apply', '--validate=strict', '-f', MOUNT_HOLDER_MANIFEST];
    expect(await kubectl.run(apply)).to.include('daemonset.apps/clawstore-mount-holder created');
    expect(await kubectl.run([...apply, '--dry-run=server'])).to.match(/mount-holder unchanged/);
    const get = ['get', 'daemonset', '-n', 'clawstore-system', 'clawstore-mount-holder', '-o', 'json'];
    const { spec } = JSON.parse(await kubectl.run(get)) as DaemonSet;
    expect(spec.updateStrategy).to.deep.equal({ type: 'OnDelete' });
    const pod = spec.template.spec;
    expect(pod.hostPID).to.equal(true);
    expect(pod.containers[0]?.volumeMounts).to.deep.include({
      name: 'run',
      mountPath: '/run/clawstore',
      mountPropagation: 'Bidirectional',
    });
  });

  it('accepts the daily backup as a BackupSchedule', async () => {
    const apply = ['apply', '--validate=strict', '-f', join(MANIFESTS, 'examples/daily-backup.yaml')];
    expect(await kubectl.run(apply)).to.include('backupschedule.storage.clawbernetes.io/daily created');
  });

  it('accepts the daily backup as a CronJob, whose account may do what its command does, and no more', async () => {
    const apply = ['apply', '--validate=strict', '-f', join(MANIFESTS, 'kubernetes/backup-cronjob.yaml')];
    expect(await kubectl.run(apply)).to.include('cronjob.batch/clawstore-backup created');
    const may = async (verb: string, resource: string): Promise<boolean> => {
      const account = ['--as', 'system:serviceaccount:default:clawstore-backup', '-n', 'default'];
      return (await kubectl.try(['auth', 'can-i', verb, resource, ...account])).stdout.trim() === 'yes';
    };
    for (const verb of ['create', 'get', 'list', 'watch']) {
      expect(await may(verb, 'backups.storage.clawbernetes.io'), verb).to.equal(true);
    }
    expect(await may('get', 'backuprepositories.storage.clawbernetes.io')).to.equal(true);
    expect(await may('delete', 'backups.storage.clawbernetes.io')).to.equal(false);
    expect(await may('get', 'secrets')).to.equal(false);
  });

  it('begins a backup with the command of the CronJob, as its account', async () => {
    const read = async (kind: string): Promise<string> =>
      kubectl.run(['get', kind, 'clawstore-backup', '-n', 'default', '-o', 'json']);
    const { spec } = JSON.parse(await read('cronjob')) as CronJob;
    const [container] = spec.jobTemplate.spec.template.spec.containers;
    const { data } = JSON.parse(await read('configmap')) as { readonly data: { readonly kubeconfig: string } };
    const own = parse(readFileSync(plane.kubeconfig, 'utf8')) as Kubeconfig;
    const config = parse(data.kubeconfig) as Kubeconfig;
    const tokenFile = join(home, 'token');
    writeFileSync(tokenFile, (await kubectl.run(['create', 'token', 'clawstore-backup', '-n', 'default'])).trim());
    const file = join(home, 'kubeconfig-of-the-pod');
    // What is elsewhere in a pod: the server and its certificate, and the token.
    const clusters = [{ name: config.clusters[0]?.name, cluster: own.clusters[0]?.cluster }];
    const users = [{ name: config.users[0]?.name, user: { tokenFile } }];
    writeFileSync(file, stringify({ ...config, clusters, users }));
    const args = (container?.args ?? []).map((arg) =>
      arg.replace('/etc/clawstore/kubeconfig', file).replace(/^--timeout=.*/, '--timeout=1'),
    );
    expect(args.filter((arg) => arg.includes(file) || arg === '--timeout=1')).to.have.length(2);
    const { code, stdout, stderr } = await exec(process.execPath, [MAIN, ...args]);
    // Nobody is there to do it: it was asked for, and the command says that nothing has acted on it.
    expect(`${stdout}${stderr}`).to.contain('nothing has acted on it yet');
    expect(code).to.equal(ExitCode.timeout);
    const made = await kubectl.run(['get', 'backups', '-n', 'default', '-o', 'jsonpath={.items[*].spec}']);
    expect(JSON.parse(made)).to.deep.equal({ destination: 's3://backups/daily', scope: 'Full' });
  });
});

interface Kubeconfig {
  readonly clusters: readonly { readonly name: string; readonly cluster: unknown }[];
  readonly users: readonly { readonly name: string; readonly user: unknown }[];
}

interface CronJob {
  readonly spec: {
    readonly jobTemplate: {
      readonly spec: {
        readonly template: { readonly spec: { readonly containers: readonly { readonly args: readonly string[] }[] } };
      };
    };
  };
}
