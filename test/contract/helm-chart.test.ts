/** The Helm chart: made of the manifests for kustomize, and the same as they are. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { parse, parseAllDocuments } from 'yaml';
import { CHART, chartFiles, staleFiles } from '../../scripts/helm-chart.ts';
import { toolPath } from '../../scripts/tools.ts';
import { run } from '../support/harness/exec.ts';
import { Helm } from '../support/harness/helm.ts';
import { INSTALL_BASE, overlay } from '../support/harness/install-manifests.ts';
import { makeDirectory } from '../support/harness/run.ts';

interface Rendered {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly spec?: {
    readonly template?: {
      readonly metadata: Rendered['metadata'];
      readonly spec: {
        readonly nodeSelector?: object;
        readonly tolerations?: readonly object[];
        readonly imagePullSecrets?: readonly object[];
        readonly containers: readonly [
          {
            readonly image: string;
            readonly args: readonly string[];
            readonly resources: object;
            readonly volumeMounts: readonly { readonly name: string; readonly mountPath: string }[];
          },
        ];
        readonly volumes: readonly { readonly name: string }[];
      };
    };
  };
}

type ByKey = Readonly<Record<string, Rendered>>;

const KEEP = 'helm.sh/resource-policy';
/** What each overlay of kustomize is in values. */
const OVERLAYS: Readonly<Record<string, readonly string[]>> = {
  'single-replica': ['controller.replicas=1'],
  'host-paths': ['hostPaths=["/data","/mnt","/srv"]'],
  'prometheus-operator': ['monitoring.enabled=true'],
};

const keyOf = ({ apiVersion, kind, metadata }: Rendered): string =>
  [apiVersion, kind, metadata.namespace, metadata.name].join(' ');

function byKey(objects: readonly unknown[]): ByKey {
  const keys = Object.fromEntries((objects as readonly Rendered[]).map((object) => [keyOf(object), object]));
  expect(Object.keys(keys)).to.have.lengthOf(objects.length);
  return keys;
}

async function kustomized(directory: string): Promise<ByKey> {
  const text = await run(await toolPath('kustomize'), ['build', directory]);
  return withoutEmptyLines(byKey(parseAllDocuments(text).map((document): unknown => document.toJS())));
}

/** Where a folded text goes deeper, as in expressions, kustomize writes an empty line more than it has read. */
function withoutEmptyLines(objects: ByKey): ByKey {
  const text = JSON.stringify(objects, (_, value: unknown) =>
    typeof value === 'string' && !value.startsWith('{') ? value.replaceAll(/\n\n+/g, '\n') : value,
  );
  return JSON.parse(text) as ByKey;
}

/** Objects without what tells Helm, and nobody else, to keep them; each CRD must have it, and nothing else may. */
function withoutKeep(objects: ByKey): ByKey {
  const copy = structuredClone(objects) as Record<string, { metadata: { annotations?: Record<string, string> } }>;
  for (const [key, { metadata }] of Object.entries(copy)) {
    expect(metadata.annotations?.[KEEP], key).to.equal(key.includes(' CustomResourceDefinition ') ? 'keep' : undefined);
    const { [KEEP]: _, ...annotations } = metadata.annotations ?? {};
    if (Object.keys(annotations).length === 0) delete metadata.annotations;
    else metadata.annotations = annotations;
  }
  return copy as unknown as ByKey;
}

const comparable = (objects: ByKey): ByKey => withoutEmptyLines(withoutKeep(objects));

function workload(objects: ByKey, kind: string, name: string) {
  const found = objects[`apps/v1 ${kind} clawstore-system ${name}`]?.spec?.template;
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return { metadata: found.metadata, pod: found.spec, container: found.spec.containers[0] };
}

const WORKLOADS = [
  ['Deployment', 'clawstore-controller'],
  ['DaemonSet', 'clawstore-agent'],
  ['DaemonSet', 'clawstore-mount-holder'],
] as const;

describe('the Helm chart', function () {
  this.timeout(120_000);
  const home = makeDirectory('helm');
  let helm: Helm;
  const rendered = async (values: readonly string[] = [], ...args: readonly string[]): Promise<ByKey> =>
    byKey(await helm.template(CHART, values, ...args));

  before(async () => {
    helm = await Helm.for(home);
  });
  after(() => rmSync(home, { recursive: true }));

  it('is what its manifests make it: node scripts/helm-chart.ts', () => {
    const files = chartFiles();
    for (const [path, text] of files) expect(readFileSync(join(CHART, path), 'utf8'), path).to.equal(text);
    expect(staleFiles(files)).to.deep.equal([]);
  });

  it('has the version of the product', () => {
    const { version } = JSON.parse(readFileSync(join(CHART, '../../../package.json'), 'utf8')) as { version: string };
    const chart: unknown = parse(readFileSync(join(CHART, 'Chart.yaml'), 'utf8'));
    expect(chart).to.include({ version, appVersion: version });
  });

  it('passes helm lint, with a warning for nothing', async () => {
    const { code, stdout, stderr } = await helm.try(['lint', '--strict', CHART]);
    expect(code, stdout + stderr).to.equal(0);
    expect(stdout).to.not.include('[WARNING]');
  });

  it('is the base, object by object, besides keeping the CRDs', async () => {
    expect(comparable(await rendered())).to.deep.equal(await kustomized(INSTALL_BASE));
  });

  for (const [name, values] of Object.entries(OVERLAYS)) {
    it(`is the overlay ${name} with ${values.join()}`, async () => {
      expect(comparable(await rendered(values))).to.deep.equal(await kustomized(overlay(name)));
    });
  }

  it('puts every value where it belongs', async () => {
    const objects = await rendered([
      'image={"repository":"example/clawstore","tag":"1.2.3","pullPolicy":"Always"}',
      'imagePullSecrets=[{"name":"pull"}]',
      'extraLabels={"team":"storage"}',
      'podAnnotations={"note":"yes"}',
      'logLevel="debug"',
      'hostPaths=["/data","/srv/Fast_1","/srv/fast-1","/run"]',
      'controller.nodeSelector={"role":"control"}',
      'controller.tolerations=[{"key":"control","operator":"Exists"}]',
      'controller.resources={"requests":{"cpu":"1"}}',
      'agent.nodeSelector={"storage":"yes"}',
      'agent.tolerations=[]',
      'agent.maxUnavailable=1',
      'agent.resources={"limits":{"memory":"1Gi"}}',
      'mountHolder.resources={"requests":{"memory":"2Gi"}}',
      'networkPolicy.enabled=false',
      'monitoring={"enabled":true,"rules":false,"dashboard":false,"labels":{"release":"prometheus"}}',
    ]);
    for (const [key, { metadata }] of Object.entries(objects)) {
      expect(metadata.labels, key).to.include({ team: 'storage' });
      if (key.includes(' ServiceMonitor ')) expect(metadata.labels, key).to.include({ release: 'prometheus' });
      expect(key).to.not.match(/ (NetworkPolicy|PrometheusRule|ConfigMap) /);
    }
    for (const [kind, name] of WORKLOADS) {
      const { metadata, pod, container } = workload(objects, kind, name);
      expect(metadata.labels, name).to.include({ team: 'storage', 'app.kubernetes.io/name': 'clawstore' });
      expect(metadata.annotations, name).to.deep.equal({ note: 'yes' });
      expect(container, name).to.include({ image: 'example/clawstore:1.2.3', imagePullPolicy: 'Always' });
      expect(container.args, name).to.include('--log-level=debug');
      expect(pod.imagePullSecrets, name).to.deep.equal([{ name: 'pull' }]);
    }
    const [controller, agent, holder] = WORKLOADS.map(([kind, name]) => workload(objects, kind, name));
    expect(controller?.pod).to.deep.include({
      nodeSelector: { role: 'control' },
      tolerations: [{ key: 'control', operator: 'Exists' }],
    });
    expect(controller?.container.resources).to.deep.equal({
      requests: { cpu: '1', memory: '128Mi' },
      limits: { memory: '1Gi' },
    });
    for (const each of [agent, holder]) {
      expect(each?.pod.nodeSelector).to.deep.equal({ 'kubernetes.io/os': 'linux', storage: 'yes' });
      expect(each?.pod.tolerations).to.deep.equal([]);
    }
    expect(agent?.container.resources).to.deep.include({ limits: { memory: '1Gi' } });
    expect(holder?.container.resources).to.deep.equal({ requests: { cpu: '10m', memory: '2Gi' } });
    expect(agent?.container.args).to.include('--host-path-allow=/data,/srv/Fast_1,/srv/fast-1,/run');
    const names = (agent?.container.volumeMounts ?? []).map(({ name }) => name);
    expect(new Set(names).size, names.join()).to.equal(names.length);
    expect(agent?.pod.volumes.map(({ name }) => name)).to.have.members(names);
  });

  it('leaves out what others make: the CRDs, the Namespace that the release is kept in', async () => {
    const count = (objects: ByKey, kind: string): number =>
      Object.values(objects).filter((object) => object.kind === kind).length;
    expect(count(await rendered(['crds.install=false']), 'CustomResourceDefinition')).to.equal(0);
    expect(count(await rendered(), 'Namespace')).to.equal(2);
    expect(count(await rendered(['namespace.create=false']), 'Namespace')).to.equal(1);
    expect(count(await rendered([], '--namespace', 'clawstore-system'), 'Namespace')).to.equal(1);
  });

  it('takes an image by its digest', async () => {
    const digest = `sha256:${'0'.repeat(64)}`;
    const { container } = workload(await rendered([`image.digest="${digest}"`]), ...WORKLOADS[1]);
    expect(container.image).to.equal(`clawstore@${digest}`);
  });

  for (const [value, field] of [
    ['replica=1', 'replica'],
    ['controller.replicas=0', '/controller/replicas'],
    ['controller.replica=1', '/controller'],
    ['hostPaths=["data"]', '/hostPaths/0'],
    ['hostPaths=["/data,/etc"]', '/hostPaths/0'],
    ['hostPaths=["/data/../etc"]', '/hostPaths/0'],
    ['logLevel="loud"', '/logLevel'],
    ['extraLabels={"app.kubernetes.io/name":"mine"}', "'app.kubernetes.io/name'"],
    ['extraLabels={"team":"a b"}', '/extraLabels/team'],
    ['agent.maxUnavailable="half"', '/agent/maxUnavailable'],
    ['agent.tolerations=[{"operator":"Maybe"}]', '/agent/tolerations/0/operator'],
    ['image.digest="sha256:1"', '/image/digest'],
  ] as const) {
    it(`refuses ${value}, and names the field`, async () => {
      const { code, stderr } = await helm.try(['template', 'clawstore', CHART, '--set-json', value]);
      expect(code).to.equal(1);
      expect(stderr).to.include(field);
    });
  }
});
