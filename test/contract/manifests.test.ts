import { rmSync } from 'node:fs';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { Kubectl } from '../support/harness/kubectl.ts';
import { type DaemonSet, MOUNT_HOLDER_MANIFEST } from '../support/harness/mount-holder-manifest.ts';
import { RealControlPlane } from '../support/harness/real-control-plane.ts';
import { makeDirectory } from '../support/harness/run.ts';

describe('manifests for a cluster, at a real kube-apiserver', function () {
  this.timeout(120_000);
  let plane: RealControlPlane;
  let kubectl: Kubectl;
  const home = makeDirectory('manifests');

  before(async () => {
    plane = await RealControlPlane.start();
    kubectl = await Kubectl.for(plane.kubeconfig, home);
  });

  after(async () => {
    await plane?.end();
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
});
