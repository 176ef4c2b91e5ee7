import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Secret } from '../../../src/api/core.ts';
import { FINALIZERS } from '../../../src/api/group.ts';
import { gatherManifests } from '../../../src/controllers/backup-binding/manifests.ts';
import { mount, restore, snapshot, volume, volumeClass } from '../support/objects.ts';
import { BackupWorld, backup, repository } from './backup-world.ts';

function secret(name: string, type = 'Opaque'): Secret {
  const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': '{"data":"clear"}', kept: 'yes' };
  const metadata = { name, namespace: 'team', uid: `uid-${name}`, resourceVersion: '1', annotations };
  return { apiVersion: 'v1', kind: 'Secret', metadata, type, data: { key: 'dmFsdWU=' } };
}

describe('manifests of a namespace', () => {
  const gather = (of: BackupWorld) =>
    gatherManifests(backup(), {
      client: of.client,
      classNamed: (name) => of.classes.get(name),
      signal: new AbortController().signal,
    });

  it('are what people wrote, with the Secrets that it names, and without what a server fills in', async () => {
    const s3 = { bucket: 'data', credentialsSecretRef: { name: 'creds' }, caBundleRef: { name: 'ca' } };
    const metadata = { labels: { app: 'x' }, finalizers: [FINALIZERS.volume, 'example.com/theirs'] };
    const of = new BackupWorld().add(volume('data', { s3 }, { nodeName: 'a' }, metadata), mount('m'), secret('creds'));
    const { files, missing } = await gather(of);
    expect([...files.keys()].sort()).to.deep.equal([
      'manifests/Secret.creds.json',
      'manifests/Volume.data.json',
      'manifests/VolumeMount.m.json',
    ]);
    expect(JSON.parse(files.get('manifests/Volume.data.json') ?? '')).to.deep.equal({
      apiVersion: 'storage.clawbernetes.io/v1alpha1',
      kind: 'Volume',
      metadata: { name: 'data', namespace: 'team', labels: { app: 'x' }, finalizers: ['example.com/theirs'] },
      spec: { s3, accessModes: ['ReadWriteOnce'] },
    });
    const kept = JSON.parse(files.get('manifests/Secret.creds.json') ?? '');
    expect(kept).to.deep.equal({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'creds', namespace: 'team', annotations: { kept: 'yes' } },
      type: 'Opaque',
      data: { key: 'dmFsdWU=' },
    });
    expect(missing).to.deep.equal(['ConfigMap "ca"']);
  });

  it('have no key of a repository, whoever names it, and nothing that would be done again', async () => {
    const s3 = { bucket: 'data', credentialsSecretRef: { name: 'repo-key' } };
    const of = new BackupWorld().add(
      volume('data', { s3 }),
      repository(),
      secret('repo-key'),
      snapshot('s'),
      restore('r'),
    );
    of.add(backup('other'));
    const { files } = await gather(of);
    expect([...files.keys()].sort()).to.deep.equal([
      'manifests/BackupRepository.repo.json',
      'manifests/Volume.data.json',
    ]);
  });

  it('have the Secret that a class names for a volume, and no token of an account', async () => {
    const defaults = { s3: { credentialsSecretRef: { name: 'of-class' } } };
    const s3 = { bucket: 'data' };
    const named = { s3: { bucket: 'b', credentialsSecretRef: { name: 'token' } } };
    const of = new BackupWorld().add(volumeClass('default', { defaults }), volume('data', { s3 }), volume('b', named));
    of.add(secret('of-class'), secret('token', 'kubernetes.io/service-account-token'));
    const { files } = await gather(of);
    expect([...files.keys()]).to.include('manifests/Secret.of-class.json');
    expect([...files.keys()]).not.to.include('manifests/Secret.token.json');
  });
});
