/** `clawstore up --sync`: a folder and a Git repository, real mounts, and kills in between. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { type KubeObjectBase, NAMESPACES, VOLUME_MOUNTS, VOLUMES } from '../src/api/meta.ts';
import type { Volume } from '../src/api/volume.ts';
import { run } from '../test/support/harness/exec.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mount, volume } from '../test/support/harness/manifests.ts';
import { full, makeDirectory } from '../test/support/harness/run.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const NS = 'synced';
const KILLS = full ? 8 : 2;

interface Said {
  readonly ready: string;
  readonly reason: string;
  readonly message: string;
  readonly revision: string;
  readonly objects: number;
  readonly problems: readonly { readonly file: string; readonly line: number; readonly message: string }[];
}

describe('a control plane that is synced', function () {
  this.timeout(300_000);
  let machine: Machine;
  let top: string;
  let folder: string;
  let repository: string;
  let url: string;

  before(async () => {
    top = makeDirectory('source');
    folder = join(top, 'manifests');
    repository = join(top, 'repository');
    url = `file://${repository}#main:nodes`;
    write('namespace.yaml', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NS } });
    write('base.yaml', ...mounted('base', { emptyDir: {}, capacity: '32Mi' }));
    machine = await Machine.start({ env: { CLAWSTORE_SYNC: folder } });
  });
  after(async () => {
    try {
      await machine?.end();
    } finally {
      rmSync(top, { recursive: true });
    }
  });

  const write = (path: string, ...objects: readonly (object | string)[]): void => writeTo(folder, path, objects);
  const mounted = (name: string, spec: Volume['spec']): readonly KubeObjectBase[] => [
    volume(NS, name, spec),
    mount(NS, name, name),
  ];
  const onHost = (name: string): readonly KubeObjectBase[] =>
    mounted(name, { hostPath: { path: join(machine.host, name), type: 'DirectoryOrCreate' } });
  /** What workloads see; there are mounts of images and pools beside them. */
  const targets = (): readonly string[] =>
    machine.mounted().filter((path) => path.startsWith(`${machine.settings.mountRoot}/${NS}/`));
  const ready = (name: string): Promise<unknown> => machine.waitReady(VOLUME_MOUNTS, `${NS}/${name}`);

  const said = async (): Promise<Said & { readonly code: number }> => {
    const { code, stdout } = await machine.command(['sync', 'status', '-o', 'json']);
    return { ...(JSON.parse(stdout) as Said), code };
  };
  const says = (holds: (status: Said) => boolean, message: string): Promise<Said & { readonly code: number }> =>
    waitFor(
      async () => {
        const status = await said();
        return holds(status) && status;
      },
      { message, deadline: 120_000, instead: said },
    );
  const synced = (objects: number, commit?: string): Promise<Said & { readonly code: number }> =>
    says(
      ({ ready: is, objects: there, revision }) =>
        is === 'True' && there === objects && (commit === undefined || revision === commit),
      `${objects} objects to be synced${commit === undefined ? '' : ` from ${commit}`}`,
    );

  it('has what is in the folder, mounted', async () => {
    await ready('base');
    const { code, reason, revision } = await synced(3);
    expect({ code, reason }).to.deep.equal({ code: 0, reason: 'Synced' });
    expect(revision).to.match(/^sha256:/);
    expect(targets()).to.deep.equal([machine.target(NS, 'base')]);
    const { stdout } = await machine.command(['sync', 'status']);
    expect(stdout).to.include('Synced').and.include(folder);
  });

  it('follows the folder at once, and a broken file stops nothing else', async () => {
    write('kept.yaml', ...onHost('kept'));
    await ready('kept');
    write('broken.yaml', 'kind: Volume', 'kind: [');
    write('more.yaml', ...mounted('more', { emptyDir: {}, capacity: '32Mi' }));
    await ready('more');
    const { code, problems, reason } = await says(
      ({ problems: list }) => list.length === 2,
      'the broken file to be named',
    );
    expect({ code, reason }).to.deep.equal({ code: 1, reason: 'SyncIncomplete' });
    expect(problems.map(({ file, line }) => `${file}:${line}`)).to.deep.equal(['broken.yaml:1', 'broken.yaml:3']);
    const ofIt = ['get', 'events', '-n', 'clawstore-system', '--field-selector=reason=SyncIncomplete'];
    const events = (): Promise<string> => machine.kubectl.run(ofIt);
    await waitFor(async () => (await events()).includes('broken.yaml:1'), { message: 'the event', instead: events });
    rmSync(join(folder, 'broken.yaml'));
    await synced(7);
    // The status is written first.
    const metric = (name: string, labels?: Readonly<Record<string, string>>) => machine.node.metric(name, labels);
    await waitFor(async () => (await metric('clawstore_sync_objects')) === 7, { message: 'the metric of 7 objects' });
    const failures = () => metric('clawstore_sync_failures_total', { reason: 'SyncIncomplete' });
    await waitFor(async () => (await failures()) > 0, { message: 'the metric of the failures' });
  });

  it('takes away what has left: mount, then volume; data that is to be retained stays', async () => {
    const file = join(machine.target(NS, 'kept'), 'file');
    writeFileSync(file, 'data');
    rmSync(join(folder, 'kept.yaml'));
    await machine.waitGone(VOLUMES, `${NS}/kept`);
    await machine.waitGone(VOLUME_MOUNTS, `${NS}/kept`);
    await synced(5);
    expect(existsSync(file)).to.equal(false);
    expect(readFileSync(join(machine.host, 'kept/file'), 'utf8')).to.equal('data');
    expect(targets()).to.have.members([machine.target(NS, 'base'), machine.target(NS, 'more')]);
    write('kept.yaml', ...onHost('kept'));
    await ready('kept');
    expect(readFileSync(file, 'utf8')).to.equal('data');
  });

  it('deletes nothing when the folder is emptied, or away', async () => {
    const away = `${folder}-away`;
    renameSync(folder, away);
    mkdirSync(folder);
    const { message } = await says(({ reason }) => reason === 'PruneRefused', 'the refusal');
    expect(message).to.include('--sync-allow-empty');
    rmSync(folder, { recursive: true });
    await says(({ reason }) => reason === 'SourceUnreachable', 'the folder to be missed');
    for (const name of ['base', 'kept', 'more']) await ready(name);
    renameSync(away, folder);
    await synced(7);
  });

  it('comes to the same whenever it is killed', async () => {
    for (let round = 1; round <= KILLS; round += 1) {
      const leaves = round === 1 ? 'more' : `turn-${round - 1}`;
      rmSync(join(folder, `${leaves}.yaml`));
      write(`turn-${round}.yaml`, ...mounted(`turn-${round}`, { emptyDir: {}, capacity: '32Mi' }));
      // Somewhere between the first look at the change and the end of what follows from it.
      const part = round === 1 ? VOLUMES : VOLUME_MOUNTS;
      await waitFor(() => machine.objects.latest(part, `${NS}/turn-${round}`) !== undefined, {
        message: 'the first of it',
      });
      await machine.killEverything();
      await machine.startNode({ args: ['--sync', folder] });
      await ready(`turn-${round}`);
      // What the status says may be of before the kill.
      await machine.waitGone(VOLUMES, `${NS}/${leaves}`);
      await synced(7);
    }
    const { items } = await machine.client.list(VOLUMES, { namespace: NS });
    expect(items.map(({ metadata }) => metadata.name)).to.have.members(['base', 'kept', `turn-${KILLS}`]);
    expect(targets()).to.have.length(3);
  });

  it('is not synced by two, or by anything but "up"', async () => {
    const second = await machine.command(['up', '--sync', join(top, 'other')]);
    expect(second.code).to.equal(4);
    expect(second.stderr).to.include(`with --sync ${folder}: stop it first`);
    const agent = await machine.command(['agent', '--sync', folder]);
    expect(agent.code).to.equal(2);
    expect(agent.stderr).to.include('only "clawstore up" syncs');
  });

  it('follows a branch of a repository, also where it was forced to', async () => {
    const commit = commitIn(repository);
    await run('git', ['init', '--quiet', '--initial-branch=main', repository]);
    writeTo(repository, 'nodes/a.yaml', mounted('from-git', { emptyDir: {}, capacity: '32Mi' }));
    writeTo(repository, 'elsewhere/b.yaml', ['kind: [']);
    const first = await commit();
    await machine.node.stop();
    await machine.startNode({ args: ['--sync', url, '--sync-interval', '1'] });
    await synced(2, first);
    await ready('from-git');
    const told = () => machine.node.metric('clawstore_sync_revision_info', { revision: first });
    await waitFor(async () => (await told()) === 1, { message: 'the metric of the revision' });
    // What the folder had brought is not of this source.
    await ready('base');
    writeTo(repository, 'nodes/b.yaml', mounted('also-git', { emptyDir: {}, capacity: '32Mi' }));
    const second = await commit();
    await ready('also-git');
    await synced(4, second);
    await run('git', ['-C', repository, 'reset', '--quiet', '--hard', first]);
    writeTo(repository, 'nodes/c.yaml', mounted('forced', { emptyDir: {}, capacity: '32Mi' }));
    const forced = await commit('--amend');
    await ready('forced');
    await machine.waitGone(VOLUMES, `${NS}/also-git`);
    await synced(4, forced);
  });

  it('stays as it is while the repository is away', async () => {
    renameSync(repository, `${repository}-away`);
    await says(({ reason }) => reason === 'SourceUnreachable', 'the repository to be missed');
    for (const name of ['base', 'from-git', 'forced']) await ready(name);
    renameSync(`${repository}-away`, repository);
    await synced(4);
  });

  it('keeps everything when it is started without a source', async () => {
    await machine.node.stop();
    await machine.startNode();
    for (const name of ['base', 'kept', `turn-${KILLS}`, 'from-git', 'forced']) await ready(name);
    await machine.deleteAll();
    for (const resource of [VOLUME_MOUNTS, VOLUMES]) {
      const { items } = await machine.client.list(resource, { namespace: NS });
      await Promise.all(items.map(({ metadata: { name } }) => machine.delete(resource, `${NS}/${name}`)));
      for (const { metadata } of items) await machine.waitGone(resource, `${NS}/${metadata.name}`);
    }
    await machine.client.delete(NAMESPACES, { name: NS });
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.problems).to.deep.equal([]);
  });
});

function writeTo(folder: string, path: string, objects: readonly (object | string)[]): void {
  const file = join(folder, path);
  mkdirSync(dirname(file), { recursive: true });
  const texts = objects.map((object) => (typeof object === 'string' ? object : JSON.stringify(object)));
  writeFileSync(`${file}.new`, texts.join('\n---\n'));
  renameSync(`${file}.new`, file);
}

/** @returns what commits everything there, and answers the commit. */
function commitIn(repository: string): (...args: readonly string[]) => Promise<string> {
  const git = (...args: readonly string[]): Promise<string> => run('git', ['-C', repository, ...args]);
  return async (...args) => {
    await git('add', '--all');
    const who = ['-c', 'user.name=test', '-c', 'user.email=test@clawstore.example'];
    await git(...who, 'commit', '--quiet', '--message=x', ...args);
    return (await git('rev-parse', 'HEAD')).trim();
  };
}
