/**
 * Makes the templates of the Helm chart out of the manifests for kustomize, so that there is one place to edit.
 *
 *   node scripts/helm-chart.ts
 *
 * What a value of the chart may change is listed here, by object; all else is as in the manifests. Written by hand in
 * manifests/helm/clawstore are Chart.yaml, values.yaml, values.schema.json, and of the templates _helpers.tpl, NOTES.txt and
 * dashboard.yaml. `test/contract/helm-chart.test.ts` compares what both make.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parse, parseAllDocuments } from 'yaml';
import { lines, type ManifestObject, Template, type TemplateMap } from './helm-chart/template.ts';

const root = join(import.meta.dirname, '..');
const KUBERNETES = join(root, 'manifests/kubernetes');
export const CHART = join(root, 'manifests/helm/clawstore');
const HAND_WRITTEN = ['templates/_helpers.tpl', 'templates/NOTES.txt', 'templates/dashboard.yaml'];

/** Objects in Kubernetes manifests, as far as they are changed here. */
interface Workload extends ManifestObject {
  readonly spec: {
    replicas?: unknown;
    readonly updateStrategy?: { readonly rollingUpdate?: { maxUnavailable: unknown } };
    readonly template: {
      readonly metadata: { labels: TemplateMap };
      readonly spec: TemplateMap & { readonly containers: readonly [Container] };
    };
  };
}

type Container = TemplateMap & { args: unknown[]; volumeMounts: unknown[] };

interface Monitored extends ManifestObject {
  readonly kind: 'ServiceMonitor' | 'PrometheusRule';
}

/** Every file that is made, by its path in the chart. */
export function chartFiles(): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  const { resources } = parse(readFileSync(join(KUBERNETES, 'base/kustomization.yaml'), 'utf8')) as {
    readonly resources: readonly string[];
  };
  for (const resource of resources.filter((name) => name.endsWith('.yaml'))) {
    files.set(`templates/${resource}`, templateOf(join(KUBERNETES, 'base', resource), ofBase));
  }
  for (const name of readdirSync(join(root, 'crds')).filter((file) => file.endsWith('.yaml'))) {
    files.set(`templates/crds/${name}`, templateOf(join(root, 'crds', name), ofBase));
  }
  for (const name of ['service-monitors.yaml', 'prometheus-rule.yaml']) {
    files.set(`templates/${name}`, templateOf(join(KUBERNETES, 'overlays/prometheus-operator', name), ofMonitoring));
  }
  const dashboard = readFileSync(join(root, 'manifests/monitoring/grafana-dashboard.json'), 'utf8');
  return files.set('files/grafana-dashboard.json', dashboard);
}

/** Files in the chart's folders that nothing makes any more. */
export function staleFiles(files: ReadonlyMap<string, string>): readonly string[] {
  return ['templates', 'files']
    .flatMap((folder) => readdirSync(join(CHART, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(CHART.length + 1))
    .filter((path) => !files.has(path) && !HAND_WRITTEN.includes(path));
}

function templateOf(file: string, change: (object: ManifestObject, template: Template) => string | undefined): string {
  const source = file.slice(root.length + 1);
  const documents = parseAllDocuments(readFileSync(file, 'utf8')).map((document) => {
    const template = new Template();
    const object = document.toJS() as ManifestObject;
    const condition = change(object, template);
    const text = template.render(object);
    return condition === undefined ? text : `{{- if ${condition} }}\n${text}{{- end }}\n`;
  });
  const head = `{{- /* Made by scripts/${basename(import.meta.filename)} of ${source}. Do not edit. */}}\n`;
  return head + documents.map((text) => `---\n${text}`).join('');
}

/** What values change of an object of the base; returns on what condition it is there. */
function ofBase(object: ManifestObject, template: Template): string | undefined {
  const { metadata } = object;
  // As kustomize adds it.
  metadata.labels = { ...metadata.labels, 'app.kubernetes.io/part-of': 'clawstore', ...extraLabels(template) };
  switch (object.kind) {
    case 'CustomResourceDefinition':
      // Without them all objects are gone: docs/decisions/0035.
      metadata.annotations = { ...metadata.annotations, 'helm.sh/resource-policy': 'keep' };
      return '.Values.crds.install';
    case 'Namespace':
      return metadata.name === 'clawstore-system' ? 'include "clawstore.makesNamespace" .' : undefined;
    case 'Deployment':
    case 'DaemonSet':
      ofWorkload(object as Workload, template);
      return undefined;
    case 'PodDisruptionBudget':
      return 'gt (int .Values.controller.replicas) 1';
    case 'NetworkPolicy':
      return '.Values.networkPolicy.enabled';
    default:
      return undefined;
  }
}

function ofMonitoring(object: ManifestObject, template: Template): string {
  const { metadata } = object;
  metadata.labels = {
    ...metadata.labels,
    ...optional(template, '.Values.monitoring.labels'),
    ...extraLabels(template),
  };
  const { kind } = object as Monitored;
  return kind === 'PrometheusRule'
    ? 'and .Values.monitoring.enabled .Values.monitoring.rules'
    : '.Values.monitoring.enabled';
}

function ofWorkload({ metadata, spec }: Workload, template: Template): void {
  const pod = spec.template.spec;
  const [container] = pod.containers;
  const name = metadata.name.slice('clawstore-'.length);
  spec.template.metadata.labels = { ...spec.template.metadata.labels, ...extraLabels(template) };
  Object.assign(spec.template.metadata, optional(template, '.Values.podAnnotations', 'annotations'));
  Object.assign(pod, optional(template, '.Values.imagePullSecrets', 'imagePullSecrets'));
  container['image'] = template.value('include "clawstore.image" . | quote');
  container['imagePullPolicy'] = template.value('.Values.image.pullPolicy');
  switch (name) {
    case 'controller':
      spec.replicas = template.value('.Values.controller.replicas');
      container['resources'] = template.block('.Values.controller.resources');
      Object.assign(pod, optional(template, '.Values.controller.nodeSelector', 'nodeSelector'));
      Object.assign(pod, optional(template, '.Values.controller.tolerations', 'tolerations'));
      container.args.push(logLevel(template));
      return;
    case 'agent':
      if (spec.updateStrategy?.rollingUpdate === undefined) throw new Error('the agent has no rolling update');
      spec.updateStrategy.rollingUpdate.maxUnavailable = template.value('.Values.agent.maxUnavailable');
      container['resources'] = template.block('.Values.agent.resources');
      container.args.push(
        template.item(lines('{{- with .Values.hostPaths }}', '- --host-path-allow={{ join "," . }}', '{{- end }}')),
        logLevel(template),
      );
      container.volumeMounts.push(hostPaths(template, 'mountPath: {{ $path }}, mountPropagation: Bidirectional'));
      (pod['volumes'] as unknown[]).push(hostPaths(template, 'hostPath: {path: {{ $path }}, type: DirectoryOrCreate}'));
      break;
    case 'mount-holder':
      container['resources'] = template.block('.Values.mountHolder.resources');
      container.args.push(logLevel(template));
      break;
    default:
      throw new Error(`no values are known for ${metadata.name}`);
  }
  // Both are on the same nodes.
  pod['nodeSelector'] = template.block('.Values.agent.nodeSelector');
  pod['tolerations'] = template.block('.Values.agent.tolerations');
}

const extraLabels = (template: Template): TemplateMap => optional(template, '.Values.extraLabels');

/** A map or list that is there when the value is not empty: below a key, or its entries beside the others. */
function optional(template: Template, value: string, key?: string): TemplateMap {
  return template.entry((indent) =>
    key === undefined
      ? lines(`{{- with ${value} }}`, `{{- toYaml . | nindent ${indent} }}`, '{{- end }}')
      : lines(`{{- with ${value} }}`, `${key}:`, `  {{- toYaml . | nindent ${indent + 2} }}`, '{{- end }}'),
  );
}

const logLevel = (template: Template): string =>
  template.item(lines('{{- if ne .Values.logLevel "info" }}', '- --log-level={{ .Values.logLevel }}', '{{- end }}'));

const hostPaths = (template: Template, rest: string): string =>
  template.item(
    lines(
      '{{- range $name, $path := include "clawstore.hostPaths" . | fromYaml }}',
      `- {name: {{ $name }}, ${rest}}`,
      '{{- end }}',
    ),
  );

function main(): void {
  const files = chartFiles();
  for (const [path, text] of files) {
    mkdirSync(dirname(join(CHART, path)), { recursive: true });
    writeFileSync(join(CHART, path), text);
  }
  for (const path of staleFiles(files)) rmSync(join(CHART, path));
}

if (import.meta.main) main();
