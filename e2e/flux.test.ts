/** Flux's own kustomize-controller keeps a cluster equal to a Git repository of our samples, while the product acts on it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { parseAllDocuments, stringify } from 'yaml';
import {
  BACKUP_SCHEDULES,
  type KubeObjectBase,
  keyOf,
  OUR_RESOURCES,
  type ResourceDescriptor,
  SNAPSHOT_SCHEDULES,
  SNAPSHOTS,
  VOLUME_MOUNTS,
  VOLUMES,
} from '../src/api/meta.ts';
import { startApiServer } from '../src/apiserver/index.ts';
import type { KubeClient } from '../src/kube/client.ts';
import { loadConfig } from '../src/kube/config.ts';
import { connect } from '../src/kube/rest-client.ts';
import { Flux, KUSTOMIZATIONS } from '../test/support/harness/flux.ts';
import { GitRepository } from '../test/support/harness/git-repository.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const MANIFESTS = join(import.meta.dirname, '../manifests');
const CRDS = join(import.meta.dirname, '../crds');
const SAMPLES = [
  'samples/cache.yaml',
  'samples/datasets.yaml',
  'samples/scratch.yaml',
  'examples/snapshot-and-copy.yaml',
  'examples/nightly-snapshots.yaml',
  'examples/daily-backup.yaml',
];
const KINDS = [VOLUMES, VOLUME_MOUNTS, SNAPSHOTS, SNAPSHOT_SCHEDULES, BACKUP_SCHEDULES];
const NAME = 'team';

describe('Flux', function () {
  this.timeout(300_000);
  let machine: Machine;
  let flux: Flux;
  let repository: GitRepository;
  let ns: string;
  let system: string;
  let data: string;

  before(async () => {
    machine = await Machine.start();
    ns = await machine.namespace('flux-team');
    system = await machine.namespace('flux-system');
    data = join(machine.host, 'datasets');
    const { kubeconfig } = machine.settings;
    flux = await Flux.start({ kubeconfig, client: machine.client, kubectl: machine.kubectl, namespace: system });
    repository = await GitRepository.init(join(machine.directory, 'repository'));
  });

  after(async () => {
    await flux?.end();
    await machine?.end();
  });

  /** As an overlay of a team: the samples as they are, but for the directory that this host lends, and nothing runs at night. */
  const kustomization = (samples: readonly string[]): string => {
    const path = stringify([{ op: 'replace', path: '/spec/hostPath/path', value: data }]);
    const suspended = stringify([{ op: 'add', path: '/spec/suspend', value: true }]);
    return stringify({
      apiVersion: 'kustomize.config.k8s.io/v1beta1',
      kind: 'Kustomization',
      resources: samples,
      patches: [
        { target: { kind: '.*Schedule' }, patch: suspended },
        ...(samples.includes('samples/datasets.yaml')
          ? [{ target: { kind: 'Volume', name: 'datasets' }, patch: path }]
          : []),
      ],
    });
  };
  const kustomizationOf = (name: string, spec: object): object => ({
    apiVersion: 'kustomize.toolkit.fluxcd.io/v1',
    kind: 'Kustomization',
    metadata: { name, namespace: system },
    spec: {
      interval: '10m',
      retryInterval: '2s',
      // Only so that what never gets healthy ends.
      timeout: '150s',
      path: './',
      prune: true,
      deletionPolicy: 'WaitForTermination',
      sourceRef: { kind: 'GitRepository', name: NAME },
      ...spec,
    },
  });
  const remove = async (name: string): Promise<void> => {
    await machine.client.delete(KUSTOMIZATIONS, { namespace: system, name });
    await waitFor(
      async () => {
        flux.controller.assertRunning();
        const { items } = await machine.client.list(KUSTOMIZATIONS, { namespace: system });
        return items.every(({ metadata }) => metadata.name !== name);
      },
      { deadline: 200_000, message: `Kustomization ${name} to be gone`, instead: () => flux.controller.tail(20) },
    );
  };
  const publish = async (message: string, files: Readonly<Record<string, string | undefined>>): Promise<string> =>
    flux.publish(repository, NAME, await repository.commit(message, files));
  /** What is in the namespace of the team, by kind and name. */
  const objects = async (
    client: KubeClient = machine.client,
    namespace = ns,
  ): Promise<ReadonlyMap<string, KubeObjectBase>> => {
    const found = new Map<string, KubeObjectBase>();
    for (const resource of KINDS) {
      const { items } = await client.list<KubeObjectBase>(resource, { namespace });
      for (const item of items) found.set(`${resource.kind} ${item.metadata.name}`, item);
    }
    return found;
  };
  /** What Flux has ever written of them. */
  const written = (found: ReadonlyMap<string, KubeObjectBase>): Readonly<Record<string, unknown>> =>
    Object.fromEntries(
      [...found].map(([title, { metadata }]) => [
        title,
        {
          uid: metadata.uid,
          generation: metadata.generation,
          fields: metadata.managedFields?.filter(({ manager }) => manager === 'kustomize-controller'),
        },
      ]),
    );

  it('brings the samples from a commit to health, mounted', async () => {
    const files = SAMPLES.map((file) => [file, readFileSync(join(MANIFESTS, file), 'utf8')] as const);
    const revision = await publish('The samples', {
      ...Object.fromEntries(files),
      'kustomization.yaml': kustomization(SAMPLES),
    });
    await machine.kubectl.apply([kustomizationOf(NAME, { wait: true, targetNamespace: ns })]);
    const { status } = await flux.applied(NAME, revision);
    const declared = files.flatMap(([, text]) => parseAllDocuments(text)).length;
    expect(status?.inventory?.entries).to.have.length(declared);
    expect([...(await objects()).keys()]).to.have.length(declared);
    for (const name of ['cache-trainer', 'datasets-loader', 'datasets-trainer', 'scratch-trainer'])
      expect(machine.mounted(), name).to.include(machine.target(ns, name));
    // Not one was Stalled on the way, which would have failed a sync for no reason.
    expect(flux.controller.output()).to.not.include('Reconciliation failed');
    writeFileSync(join(machine.target(ns, 'datasets-loader'), 'file'), 'of the team');
  });

  it('has nothing to change in a second pass, and with a commit that changes no object', async () => {
    const before = written(await objects());
    await flux.lookAgain(NAME, 'again');
    await flux.applied(NAME, await publish('Say what this is', { 'README.md': 'The storage of the team\n' }));
    expect(written(await objects())).to.deep.equal(before);
  });

  it('takes back what somebody has changed by hand', async () => {
    await machine.patch(VOLUME_MOUNTS, `${ns}/scratch-trainer`, { spec: { mountPath: '/elsewhere' } });
    await flux.lookAgain(NAME, 'drift');
    const { spec } = await machine.get<KubeObjectBase & { readonly spec: { readonly mountPath: string } }>(
      VOLUME_MOUNTS,
      `${ns}/scratch-trainer`,
    );
    expect(spec.mountPath).to.equal('/scratch');
  });

  it('says of a manifest that the API server refuses what is wrong with it, and goes on with the next commit', async () => {
    const good = readFileSync(join(MANIFESTS, 'samples/scratch.yaml'), 'utf8');
    const before = written(await objects());
    const revision = await publish('A mistake', { 'samples/scratch.yaml': good.replace('64Mi', '-64Mi') });
    const { reason, message } = await flux.failed(NAME, revision);
    expect(reason).to.equal('ReconciliationFailed');
    expect(message).to.include('Volume').and.to.include('spec.capacity').and.to.include('must be more than 0');
    // Nothing of such a commit is applied, and nothing is taken away.
    expect(written(await objects())).to.deep.equal(before);
    await flux.applied(NAME, await publish('Put it right', { 'samples/scratch.yaml': good }));
    expect(written(await objects())).to.deep.equal(before);
  });

  it('says of an object that the product refuses why, at once, and goes on when it is corrected', async () => {
    // Where a volume lies cannot be changed, so Flux is told that it may make this one anew.
    const outside = `apiVersion: storage.clawbernetes.io/v1alpha1
kind: Volume
metadata:
  name: outside
  annotations: {kustomize.toolkit.fluxcd.io/force: enabled}
spec:
  hostPath: {path: /opt/not-lent, type: DirectoryOrCreate}
`;
    const files = [...SAMPLES, 'outside.yaml'];
    const revision = await publish('Beyond what is lent', {
      'outside.yaml': outside,
      'kustomization.yaml': kustomization(files),
    });
    const { reason, message } = await flux.failed(NAME, revision);
    expect(reason).to.equal('HealthCheckFailed');
    // Not after the timeout: Stalled is "Failed" for kstatus, which nobody waits for.
    expect(message).to.match(/failed early due to stalled resources/);
    expect(message).to.include(`Volume/${ns}/outside`);
    expect(existsSync('/opt/not-lent')).to.equal(false);
    await flux.applied(
      NAME,
      await publish('Within', { 'outside.yaml': outside.replace('/opt/not-lent', join(machine.host, 'lent')) }),
    );
    await machine.waitReady(VOLUMES, `${ns}/outside`);
  });

  it('prunes what has left the repository, mounts before their volume, and keeps what is the host’s', async () => {
    const rest = SAMPLES.filter((file) => file !== 'samples/datasets.yaml');
    const revision = await publish('The data set goes', {
      'samples/datasets.yaml': undefined,
      'outside.yaml': undefined,
      'kustomization.yaml': kustomization(rest),
    });
    await flux.applied(NAME, revision);
    await machine.waitGone(VOLUMES, `${ns}/datasets`, 60_000);
    const goneAt = (resource: ResourceDescriptor, name: string): Promise<number> =>
      waitFor(() => machine.objects.deletedAt(resource, `${ns}/${name}`), { message: `${name} to be seen going` });
    const volume = await goneAt(VOLUMES, 'datasets');
    for (const name of ['datasets-loader', 'datasets-trainer'])
      expect(await goneAt(VOLUME_MOUNTS, name), name).to.be.lessThan(volume);
    expect(machine.mounted().filter((target) => target.includes('datasets'))).to.deep.equal([]);
    expect(readFileSync(join(data, 'file'), 'utf8')).to.equal('of the team');
    await machine.waitReady(VOLUME_MOUNTS, `${ns}/scratch-trainer`);
  });

  it('does the same from afar to the embedded control plane of a machine without Kubernetes', async () => {
    const edge = await startApiServer({ stateDir: join(machine.directory, 'edge'), crdsDir: CRDS });
    const kubeconfig = join(machine.directory, 'edge.kubeconfig');
    edge.writeKubeconfig(kubeconfig);
    const client = connect(await loadConfig({ kubeconfig }));
    try {
      const stringData = { value: readFileSync(kubeconfig, 'utf8') };
      const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'edge', namespace: system }, stringData };
      const spec = { kubeConfig: { secretRef: { name: 'edge' } }, targetNamespace: 'default' };
      await machine.kubectl.apply([secret, kustomizationOf('edge', spec)]);
      await flux.applied('edge', `main@sha1:${await repository.head()}`);
      const before = await objects(client, 'default');
      expect([...before.keys()]).to.include.members([
        'Volume scratch',
        'VolumeMount scratch-trainer',
        'Snapshot before-upgrade',
      ]);
      await flux.lookAgain('edge', 'again');
      expect(written(await objects(client, 'default'))).to.deep.equal(written(before));
      await remove('edge');
      expect([...(await objects(client, 'default')).keys()]).to.deep.equal([]);
    } finally {
      await client.close();
      await edge.close();
    }
  });

  it('takes everything along when it goes, whatever depends on what', async () => {
    await remove(NAME);
    for (const resource of OUR_RESOURCES.filter(({ namespaced }) => namespaced)) {
      const { items } = await machine.client.list<KubeObjectBase>(resource, { namespace: ns });
      expect(items.map(keyOf), resource.kind).to.deep.equal([]);
    }
    expect(machine.mounted().filter((target) => target.includes(`/${ns}/`))).to.deep.equal([]);
  });

  it('never showed a status that breaks the rules', () => {
    expect(machine.objects.versions).to.be.greaterThan(10);
    expect(machine.objects.problems).to.deep.equal([]);
  });
});
