import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { Condition } from '../../../src/api/meta.ts';
import type { Volume, VolumeConditionType } from '../../../src/api/volume.ts';
import type { VolumeClass } from '../../../src/api/volume-class.ts';
import {
  driverVolume,
  intersectPrefixes,
  resolveForRemoval,
  resolveVolume,
} from '../../../src/controllers/policy/resolve-volume.ts';
import { condition, volume, volumeClass } from '../support/objects.ts';

interface Given {
  readonly classes?: readonly VolumeClass[];
  readonly labels?: Readonly<Record<string, string>>;
  readonly hostPathAllow?: readonly string[];
}

const facts = (wanted: Volume, { classes = [], labels, hostPathAllow }: Given = {}) => ({
  volume: wanted,
  classNamed: (name: string) => classes.find(({ metadata }) => metadata.name === name),
  namespaceLabels: labels,
  node: { hostPathAllow },
});
const resolve = (wanted: Volume, given: Given = {}) => {
  const resolution = resolveVolume(facts(wanted, given));
  if (!resolution.ok) throw new Error(resolution.refusal.message);
  return resolution.resolved;
};
const refusal = (wanted: Volume, given: Given = {}) => {
  const resolution = resolveVolume(facts(wanted, given));
  return resolution.ok ? undefined : resolution.refusal.reason;
};
const host = (path: string, spec = {}) => volume('data', { hostPath: { path }, ...spec });
const open = volumeClass('default', { allowedHostPathPrefixes: ['/data', '/srv/shared'] });

describe('resolveVolume', () => {
  it('lets emptyDir be used without any class, with Kubernetes-like defaults', () => {
    expect(resolve(volume('data'))).to.deep.include({
      type: 'emptyDir',
      capacity: '10Gi',
      capacityBytes: 10n * 1024n ** 3n,
      reclaimPolicy: 'Delete',
      provisioning: 'Thin',
      pool: 'default',
      mountOptions: ['nodev', 'nosuid'],
    });
  });

  it('refuses host paths where no class allows them', () => {
    expect(refusal(host('/data/a'))).to.equal('HostPathNotAllowed');
    expect(refusal(host('/data/a'), { classes: [volumeClass('default')] })).to.equal('HostPathNotAllowed');
  });

  it('compares prefixes by path segment', () => {
    expect(refusal(host('/data/a'), { classes: [open] })).to.equal(undefined);
    expect(refusal(host('/database'), { classes: [open] })).to.equal('HostPathNotAllowed');
    expect(refusal(host('/srv'), { classes: [open] })).to.equal('HostPathNotAllowed');
  });

  it('needs both the class and the node to allow a path', () => {
    const given = { classes: [open], hostPathAllow: ['/srv'] };
    expect(refusal(host('/data/a'), given)).to.equal('HostPathNotAllowed');
    expect(resolve(host('/srv/shared/a'), given).allowedPrefixes).to.deep.equal(['/srv/shared']);
  });

  it('never reclaims a host directory, whatever the class says', () => {
    const generous = volumeClass('default', {
      allowedHostPathPrefixes: ['/data'],
      defaults: { reclaimPolicy: 'Delete' },
    });
    const resolved = resolve(host('/data/a'), { classes: [generous] });
    expect(resolved).to.deep.include({ reclaimPolicy: 'Retain', capacity: undefined, provisioning: undefined });
  });

  it('waits for a class or a namespace that is not known, as both may have been applied with the volume', () => {
    const why = (wanted: Volume, given: Given = {}) => {
      const resolution = resolveVolume(facts(wanted, given));
      return resolution.ok ? undefined : [resolution.refusal.reason, resolution.refusal.stalled];
    };
    expect(why(volume('data', { volumeClassName: 'fast' }))).to.deep.equal(['VolumeClassNotFound', false]);
    const classes = [volumeClass('default', { allowedNamespaces: { matchLabels: { tier: 'gold' } } })];
    expect(why(volume('data'), { classes })).to.deep.equal(['NamespaceNotAllowed', false]);
    expect(why(volume('data'), { classes, labels: {} })).to.deep.equal(['NamespaceNotAllowed', true]);
  });

  it('refuses a namespace that the class does not select, and knows namespaces by name', () => {
    const limited = volumeClass('default', { allowedNamespaces: { matchLabels: { tier: 'gold' } } });
    const named = { matchLabels: { 'kubernetes.io/metadata.name': 'team' } };
    expect(refusal(volume('data'), { classes: [limited] })).to.equal('NamespaceNotAllowed');
    expect(refusal(volume('data'), { classes: [limited], labels: { tier: 'gold' } })).to.equal(undefined);
    expect(refusal(volume('data'), { classes: [volumeClass('default', { allowedNamespaces: named })] })).to.equal(
      undefined,
    );
  });

  it('takes a class without allowedNamespaces as closed', () => {
    const { allowedNamespaces: _, ...spec } = volumeClass('default').spec;
    expect(refusal(volume('data'), { classes: [{ ...volumeClass('default'), spec }] })).to.equal('NamespaceNotAllowed');
  });

  it('refuses a type that the class does not list', () => {
    const classes = [volumeClass('default', { allowedTypes: ['hostPath'] })];
    expect(refusal(volume('data'), { classes })).to.equal('TypeNotAllowed');
  });

  it('lets everybody restrict a mount, and only a class lift a restriction', () => {
    const asked = (options: readonly string[]) => volume('data', { mountOptions: options });
    expect(resolve(asked(['noexec'])).mountOptions).to.deep.equal(['nodev', 'noexec', 'nosuid']);
    expect(refusal(asked(['suid']))).to.equal('MountOptionNotAllowed');
    expect(refusal(asked(['ro']))).to.equal('MountOptionNotAllowed');
    const classes = [volumeClass('default', { allowedMountOptions: ['suid'] })];
    expect(resolve(asked(['suid']), { classes }).mountOptions).to.deep.equal(['nodev']);
  });

  it('uses the options of the class only where the volume names none', () => {
    const classes = [volumeClass('default', { defaults: { mountOptions: ['noatime'] } })];
    expect(resolve(volume('data'), { classes }).mountOptions).to.deep.equal(['noatime', 'nodev', 'nosuid']);
    expect(resolve(volume('data', { mountOptions: ['noexec'] }), { classes }).mountOptions).to.not.include('noatime');
  });

  it('can still be taken down when it would not be allowed any more', () => {
    const resolved = resolveForRemoval(facts(host('/data/a'), { hostPathAllow: ['/data'] }));
    expect(resolved).to.deep.include({ type: 'hostPath', reclaimPolicy: 'Retain', allowedPrefixes: ['/data'] });
  });

  it('allows a value that the class leaves open', () => {
    const classes = [volumeClass('default', { allowedMountOptions: ['timeo=*', 'vers=3'] })];
    const asked = (...options: string[]) => refusal(volume('data', { mountOptions: options }), { classes });
    expect(asked('timeo=50', 'vers=3')).to.equal(undefined);
    expect(asked('vers=2')).to.equal('MountOptionNotAllowed');
    expect(asked('timeous=1')).to.equal('MountOptionNotAllowed');
  });

  describe('of an NFS server', () => {
    const export_ = (server: string, spec = {}) =>
      volume('data', { nfs: { server, path: '/x', subPath: 'a' }, ...spec });
    const allowing = (...allowedNfsServers: string[]) => ({ classes: [volumeClass('default', { allowedNfsServers })] });

    it('refuses every server where no class names one', () => {
      expect(refusal(export_('files.example'))).to.equal('NfsServerNotAllowed');
      expect(refusal(export_('files.example'), allowing())).to.equal('NfsServerNotAllowed');
    });

    it('takes a name as written, every name below a domain, or any', () => {
      expect(refusal(export_('files.example'), allowing('files.example'))).to.equal(undefined);
      expect(refusal(export_('files.example'), allowing('iles.example', 'example', '*.files.example'))).to.equal(
        'NfsServerNotAllowed',
      );
      expect(refusal(export_('a.b.example'), allowing('*.example'))).to.equal(undefined);
      expect(refusal(export_('aexample'), allowing('*.example'))).to.equal('NfsServerNotAllowed');
      expect(refusal(export_('2001:db8::1'), allowing('*'))).to.equal(undefined);
    });

    it('deletes only what the volume itself gives up, and never an export', () => {
      const classes = [volumeClass('default', { allowedNfsServers: ['*'], defaults: { reclaimPolicy: 'Delete' } })];
      const policy = (wanted: Volume) => resolve(wanted, { classes }).reclaimPolicy;
      expect(policy(export_('a'))).to.equal('Retain');
      expect(policy(export_('a', { reclaimPolicy: 'Delete' }))).to.equal('Delete');
      expect(policy(volume('data', { nfs: { server: 'a', path: '/x' }, reclaimPolicy: 'Delete' }))).to.equal('Retain');
    });

    it('tells the driver whether the storage was there before', () => {
      const resolved = resolve(export_('a'), allowing('*'));
      const said = (...conditions: readonly Condition<VolumeConditionType>[]) =>
        driverVolume({ ...export_('a'), status: { conditions } }, resolved).wasProvisioned;
      expect(said()).to.equal(false);
      expect(said(condition('Provisioned', 'True', 'Provisioned'))).to.equal(true);
      expect(said(condition('Provisioned', 'False', 'DataMissing'))).to.equal(true);
      expect(said(condition('Provisioned', 'False', 'ServerUnreachable'))).to.equal(false);
    });
  });

  it('hands the driver a clean path and what may be used', () => {
    const wanted = host('/data//a/');
    expect(driverVolume(wanted, resolve(wanted, { classes: [open] })).source).to.deep.equal({
      type: 'hostPath',
      path: '/data/a',
      pathType: '',
      allowedPrefixes: ['/data', '/srv/shared'],
    });
  });
});

describe('intersectPrefixes', () => {
  it('keeps the narrower of two that contain each other', () => {
    expect(intersectPrefixes(['/data', '/srv/a'], ['/data/x', '/srv'])).to.deep.equal(['/data/x', '/srv/a']);
    expect(intersectPrefixes(['/data'], ['/database'])).to.deep.equal([]);
  });
});
