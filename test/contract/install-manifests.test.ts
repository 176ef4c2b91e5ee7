/** The manifests for a cluster, built by kustomize (the chart: helm-chart.test.ts) and judged by a real kube-apiserver; they say what the binary understands. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { parseAllDocuments } from 'yaml';
import { CHART } from '../../scripts/helm-chart.ts';
import { PROMETHEUS_RULE, prometheusRule } from '../../scripts/prometheus-rule.ts';
import { toolPath } from '../../scripts/tools.ts';
import type { PolicyRule } from '../../src/api/core.ts';
import { OUR_RESOURCES } from '../../src/api/meta.ts';
import { RULES, SELF_RULES } from '../../src/apiserver/access/roles.ts';
import { SETTING_FLAGS } from '../../src/cli/settings.ts';
import { exec } from '../support/harness/exec.ts';
import { Helm } from '../support/harness/helm.ts';
import { INSTALL_BASE, overlay } from '../support/harness/install-manifests.ts';
import { Kubectl } from '../support/harness/kubectl.ts';
import { RealControlPlane } from '../support/harness/real-control-plane.ts';
import { makeDirectory } from '../support/harness/run.ts';
import { DASHBOARD_FILE } from '../support/monitoring.ts';

interface Built {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly rules?: readonly PolicyRule[];
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly replicas?: number;
    readonly updateStrategy?: { readonly type: string };
    readonly template?: {
      readonly spec: {
        readonly hostPID?: boolean;
        readonly hostNetwork?: boolean;
        readonly securityContext?: Readonly<Record<string, unknown>>;
        readonly containers: readonly {
          readonly args: readonly string[];
          readonly securityContext?: Readonly<Record<string, unknown>>;
          readonly volumeMounts: readonly { readonly mountPath: string; readonly mountPropagation?: string }[];
        }[];
      };
    };
  };
}

const OVERLAYS = ['single-replica', 'host-paths', 'prometheus-operator'];

async function build(directory: string): Promise<readonly Built[]> {
  const { code, stdout, stderr } = await exec(await toolPath('kustomize'), ['build', directory]);
  expect(code, stderr).to.equal(0);
  return parseAllDocuments(stdout).map((document) => document.toJS() as Built);
}

const named = (objects: readonly Built[], kind: string, name: string): Built | undefined =>
  objects.find((object) => object.kind === kind && object.metadata.name === name);

const podOf = (objects: readonly Built[], kind: string, name: string) => {
  const pod = named(objects, kind, name)?.spec?.template?.spec;
  const [container] = pod?.containers ?? [];
  if (pod === undefined || container === undefined) throw new Error(`there is no pod of ${kind} ${name}`);
  return { pod, container };
};

describe('the manifests of an installation', function () {
  this.timeout(120_000);
  let base: readonly Built[];
  before(async () => {
    base = await build(INSTALL_BASE);
  });

  it('install every kind', () => {
    const crds = base.filter(({ kind }) => kind === 'CustomResourceDefinition').map(({ metadata }) => metadata.name);
    expect(crds).to.have.members(OUR_RESOURCES.map(({ plural, group }) => `${plural}.${group}`));
  });

  it('give the binary no flag that it does not have', async () => {
    const flags = SETTING_FLAGS.map((flag) => flag.flags.split(' ')[0]);
    const args = [base, ...(await Promise.all(OVERLAYS.map((name) => build(overlay(name)))))]
      .flat()
      .flatMap(({ spec }) => spec?.template?.spec.containers ?? [])
      .flatMap((container) => container.args.slice(1))
      .filter((arg) => arg.startsWith('-'));
    expect(args).to.have.length.above(20);
    for (const arg of args) expect(flags, arg).to.include(arg.split('=')[0]);
  });

  it('run the controllers without privileges, and two of them', async () => {
    const { pod, container } = podOf(base, 'Deployment', 'clawstore-controller');
    expect(pod.securityContext).to.include({ runAsNonRoot: true });
    expect(container.securityContext).to.deep.equal({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(named(base, 'Deployment', 'clawstore-controller')?.spec?.replicas).to.equal(2);
    const single = await build(overlay('single-replica'));
    expect(named(single, 'Deployment', 'clawstore-controller')?.spec?.replicas).to.equal(1);
    expect(single.filter(({ kind }) => kind === 'PodDisruptionBudget')).to.deep.equal([]);
  });

  it('give agent and mount holder the same places, seen by the host', () => {
    const [agent, holder] = ['clawstore-agent', 'clawstore-mount-holder'].map((name) => podOf(base, 'DaemonSet', name));
    expect(agent?.pod).to.include({ hostPID: true, hostNetwork: true });
    expect(holder?.pod).to.include({ hostPID: true });
    // The image's own user is an ordinary one.
    for (const each of [agent, holder])
      expect(each?.container.securityContext).to.deep.equal({ privileged: true, runAsUser: 0 });
    for (const place of ['/var/lib/clawstore', '/run/clawstore']) {
      const mounts = [agent, holder].map((one) => one?.container.volumeMounts.find((each) => each.mountPath === place));
      expect(mounts[0]?.mountPropagation, place).to.equal('Bidirectional');
      expect(mounts[1], place).to.not.equal(undefined);
    }
    expect(named(base, 'DaemonSet', 'clawstore-mount-holder')?.spec?.updateStrategy).to.deep.equal({
      type: 'OnDelete',
    });
  });

  it('give the controllers what the embedded control plane gives them, and Roles', () => {
    const rights = (rules: readonly PolicyRule[]): readonly string[] =>
      [
        ...new Set(
          rules.flatMap(({ apiGroups, resources, verbs }) =>
            apiGroups.flatMap((group) =>
              resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
            ),
          ),
        ),
      ].toSorted();
    const given = ['ClusterRole', 'Role'].flatMap((kind) => named(base, kind, 'clawstore-controller')?.rules ?? []);
    const embedded = RULES.controller
      .filter((rule) => !SELF_RULES.includes(rule))
      .map(({ groups, ...rule }) => ({ ...rule, apiGroups: groups }));
    const onlyHere = /rbac\.authorization\.k8s\.io\/(roles|rolebindings)$/;
    expect(rights(given).filter((right) => !onlyHere.test(right))).to.deep.equal(rights(embedded));
  });

  it('pack the alerts and the dashboard as they are', async () => {
    expect(readFileSync(PROMETHEUS_RULE, 'utf8'), 'node scripts/prometheus-rule.ts').to.equal(prometheusRule());
    const built = await build(overlay('prometheus-operator'));
    const dashboard = named(built, 'ConfigMap', 'clawstore-dashboard')?.data?.['clawstore.json'];
    expect(dashboard).to.equal(readFileSync(DASHBOARD_FILE, 'utf8'));
  });

  describe('at a real kube-apiserver', () => {
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

    it('are accepted, every field of them, a second time without a change', async () => {
      const apply = ['apply', '--server-side', '--validate=strict', '-k', INSTALL_BASE];
      expect(await kubectl.run(apply)).to.include('daemonset.apps/clawstore-agent serverside-applied');
      const { code, stdout, stderr } = await kubectl.try(['diff', '--server-side', '-k', INSTALL_BASE]);
      expect(code, stdout + stderr).to.equal(0);
    });

    for (const name of OVERLAYS) {
      it(`accepts the overlay ${name}`, async () => {
        if (name === 'prometheus-operator') {
          await kubectl.apply(['ServiceMonitor', 'PrometheusRule'].map(standIn));
          const crds = ['servicemonitors', 'prometheusrules'].map((plural) => `crd/${plural}.monitoring.coreos.com`);
          await kubectl.run(['wait', '--for=condition=Established', '--timeout=60s', ...crds]);
        }
        const apply = ['apply', '--server-side', '--dry-run=server', '--validate=strict', '-k', overlay(name)];
        expect(await kubectl.run(apply)).to.include('deployment.apps/clawstore-controller');
      });
    }

    it('can be taken over by Helm, which upgrades the CRDs and leaves them where they are', async () => {
      const [helm, older] = [await Helm.for(home, plane.kubeconfig), join(home, 'older')];
      const at = ['--namespace', 'kube-system'];
      const names = (): Promise<string> =>
        kubectl.run(['get', 'crd/volumeclasses.storage.clawbernetes.io', '-o', 'jsonpath={.spec.names.shortNames}']);
      cpSync(CHART, older, { recursive: true });
      const crd = join(older, 'templates/crds/storage.clawbernetes.io_volumeclasses.yaml');
      writeFileSync(crd, readFileSync(crd, 'utf8').replace('      - cvc\n', '      - cvc\n      - cvolclass\n'));
      await kubectl.run(['apply', '--server-side', '-k', INSTALL_BASE]);
      await helm.run(['install', 'clawstore', older, '--take-ownership', ...at]);
      expect(await names()).to.equal('["cvc","cvolclass"]');
      await kubectl.apply([
        {
          apiVersion: 'storage.clawbernetes.io/v1alpha1',
          kind: 'VolumeClass',
          metadata: { name: 'kept' },
          spec: { allowedTypes: ['emptyDir'] },
        },
      ]);

      await helm.run(['upgrade', 'clawstore', CHART, '--set', 'controller.replicas=1', ...at]);
      expect(await names()).to.equal('["cvc"]');
      const deployment = ['get', 'deployment/clawstore-controller', '-n', 'clawstore-system'];
      expect(await kubectl.run([...deployment, '-o', 'jsonpath={.spec.replicas}'])).to.equal('1');
      expect((await kubectl.try(['get', 'pdb/clawstore-controller', '-n', 'clawstore-system'])).code).to.equal(1);

      await helm.run(['uninstall', 'clawstore', ...at]);
      expect((await kubectl.try(deployment)).code).to.equal(1);
      expect(await kubectl.run(['get', 'volumeclasses', '-o', 'name'])).to.include('/kept');
    });
  });
});

/** In the place of a kind of the Prometheus operator, whose schema is not at hand: that it has such a kind is all it says. */
function standIn(kind: string): object {
  const plural = `${kind.toLowerCase()}s`;
  const group = 'monitoring.coreos.com';
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}`, annotations: { 'api-approved.kubernetes.io': 'unapproved, a test' } },
    spec: {
      group,
      scope: 'Namespaced',
      names: { kind, plural, singular: kind.toLowerCase() },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
        },
      ],
    },
  };
}
