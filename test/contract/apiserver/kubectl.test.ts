/** What people type, with the kubectl of four ages, against an API server that nobody reconciles. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import type { ToolName } from '../../../scripts/tools.ts';
import { Daemon } from '../../support/harness/daemon.ts';
import type { ExecResult } from '../../support/harness/exec.ts';
import { Kubectl } from '../../support/harness/kubectl.ts';
import { full, makeDirectory, shareOf } from '../../support/harness/run.ts';
import { waitFor } from '../../support/harness/wait.ts';
import { SERVERS } from './servers.ts';

const OLD: readonly ToolName[] = ['kubectl-1.29', 'kubectl-1.31'];
const TOOLS: readonly ToolName[] = ['kubectl', ...shareOf('old kubectl', OLD), 'kubectl-1.36'];

const manifest = (name: string, capacity: string): string => `apiVersion: storage.clawbernetes.io/v1alpha1
kind: Volume
metadata:
  name: ${name}
  labels: {tier: test}
spec:
  hostPath: {path: /data/${name}}
  capacity: ${capacity}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: ${name}
data: {a: b}
`;

for (const { name: serverName, start } of SERVERS) {
  // What one kubectl does on the real server is enough to show that the expectations are right.
  for (const tool of serverName === 'real' && !full ? TOOLS.slice(0, 1) : TOOLS) {
    describe(`${tool} and the ${serverName} API server`, function () {
      this.timeout(120_000);
      const ns = `typed-${tool.replace(/\W/g, '-')}`;
      let directory: string;
      let kubectl: Kubectl;

      const run = (...args: readonly string[]): Promise<string> => kubectl.run(['-n', ns, ...args]);
      const attempt = (...args: readonly string[]): Promise<ExecResult> => kubectl.try(['-n', ns, ...args]);
      const file = (name: string, text: string): string => {
        const path = join(directory, name);
        writeFileSync(path, text);
        return path;
      };

      /** What hardly depends on kubectl's age is left to one of them, and to the full run. */
      const often = (title: string, test: () => Promise<void>): void => {
        if (full || tool === 'kubectl') it(title, test);
      };

      before(async () => {
        const { kubeconfig } = await start();
        directory = makeDirectory('typed');
        kubectl = await Kubectl.for(kubeconfig, directory, tool);
      });

      after(() => rmSync(directory, { recursive: true, force: true }));

      it('says its version and that of the server', async () => {
        const said = await run('version', '-o', 'json');
        expect(JSON.parse(said)).to.have.nested.property('serverVersion.gitVersion', 'v1.34.4');
        const wanted = /\d+\.\d+/.exec(tool)?.[0] ?? '1.32';
        expect(said).to.include(`"gitVersion": "v${wanted}.`);
      });

      it('creates a namespace and asks what it may do', async () => {
        expect(await run('create', 'namespace', ns)).to.equal(`namespace/${ns} created\n`);
        expect(await run('auth', 'can-i', 'create', 'volumes')).to.equal('yes\n');
        expect((await attempt('create', 'namespace', ns)).stderr).to.include(`namespaces "${ns}" already exists`);
      });

      it('lists resources and versions', async () => {
        const listed = await run('api-resources', '--api-group=storage.clawbernetes.io', '-o', 'wide');
        expect(listed).to.match(/volumes\s+cvol\s+storage\.clawbernetes\.io\/v1alpha1\s+true\s+Volume\s+\S*create/);
        expect(await run('api-versions')).to.include('storage.clawbernetes.io/v1alpha1\n');
      });

      it('applies on the client side, and again', async () => {
        const path = file('a.yaml', manifest('a', '1Gi'));
        expect(await run('apply', '-f', path)).to.match(/volume\S*\/a created\nconfigmap\/a created/);
        expect(await run('apply', '-f', path)).to.match(/volume\S*\/a unchanged\nconfigmap\/a unchanged/);
        expect(await run('apply', '-f', file('a2.yaml', manifest('a', '2Gi')))).to.match(/volume\S*\/a configured\n/);
      });

      it('applies on the server side after the client side, and names the owner in a conflict', async () => {
        const path = file('a3.yaml', manifest('a', '3Gi'));
        expect(await run('apply', '--server-side', '-f', path)).to.match(/volume\S*\/a serverside-applied/);
        const conflict = await attempt(
          'apply',
          '--server-side',
          '--field-manager=other',
          '-f',
          file('a4.yaml', manifest('a', '4Gi')),
        );
        expect(conflict.code).to.equal(1);
        expect(conflict.stderr).to.include('conflict with "kubectl"').and.to.include('.spec.capacity');
        const forced = [
          '--server-side',
          '--field-manager=other',
          '--force-conflicts',
          '-f',
          join(directory, 'a4.yaml'),
        ];
        await run('apply', ...forced);
        expect(await run('get', 'cvol', 'a', '-o', 'jsonpath={.spec.capacity}')).to.equal('4Gi');
      });

      it('gets tables, wide ones, categories, labels, fields and YAML', async () => {
        expect(await run('get', 'cvol')).to.match(/^NAME\s+PHASE\s+CAPACITY\s+NODE\s+READY\s+REASON\s+.*AGE\na\s/);
        expect(await run('get', 'cvol', '-o', 'wide')).to.match(/ACCESS MODE\s+RECLAIM/);
        expect(await run('get', 'clawstore,cm', '-l', 'tier=test', '-o', 'name')).to.match(/^volume\S*\/a\n$/);
        expect(await run('get', 'cvol', '--field-selector=metadata.name!=a', '-o', 'name')).to.equal('');
        expect(await run('get', 'cvol', 'a', '-o', 'yaml')).to.include('  capacity: 4Gi\n');
        expect((await attempt('get', 'cvol', 'none')).stderr).to.include(
          'Error from server (NotFound): volumes.storage.clawbernetes.io "none" not found',
        );
      });

      it('explains and describes', async () => {
        expect(await run('explain', 'volume.spec.hostPath')).to.match(
          /FIELD: hostPath <Object>[\s\S]*path\s+<string> -required-/,
        );
        expect(await run('explain', 'cvol', '--recursive')).to.match(/conditions\s+<\[\]Object>/);
        expect(await run('describe', 'cvol', 'a')).to.match(/Spec:\n[\s\S]*Capacity:\s+4Gi\n[\s\S]*Events:\s+<none>/);
      });

      often('diffs, and changes nothing in a dry run', async () => {
        const other = await attempt('diff', '-f', file('a5.yaml', manifest('a', '5Gi')));
        expect(other.code, other.stderr).to.equal(1);
        expect(other.stdout)
          .to.match(/^-\s+capacity: 4Gi$/m)
          .and.to.match(/^\+\s+capacity: 5Gi$/m);
        await run('apply', '--dry-run=server', '-f', join(directory, 'a5.yaml'));
        expect(await run('get', 'cvol', 'a', '-o', 'jsonpath={.spec.capacity}')).to.equal('4Gi');
      });

      it('patches, labels, annotates, replaces and edits', async () => {
        await run('patch', 'cvol', 'a', '--type=merge', '-p', '{"spec":{"capacity":"5Gi"}}');
        await run(
          'patch',
          'cvol',
          'a',
          '--type=json',
          '-p',
          '[{"op":"replace","path":"/spec/capacity","value":"6Gi"}]',
        );
        await run('patch', 'cm', 'a', '-p', '{"data":{"c":"d"}}');
        await run('label', 'cvol/a', 'owner=me');
        await run('annotate', 'cvol/a', 'example.com/note=hello');
        await run('patch', 'cvol', 'a', '--subresource=status', '--type=merge', '-p', '{"status":{"phase":"Bound"}}');
        const editor = file('editor.sh', '#!/bin/sh\nsed -i "s/capacity: 6Gi/capacity: 7Gi/" "$1"\n');
        const edited = await kubectl.try(['-n', ns, 'edit', 'cvol', 'a'], { env: { KUBE_EDITOR: `sh ${editor}` } });
        expect(edited.stdout + edited.stderr).to.include('a edited');
        const fields =
          '{.spec.capacity} {.metadata.labels.owner} {.metadata.annotations.example\\.com/note} {.status.phase}';
        expect(await run('get', 'cvol', 'a', '-o', `jsonpath=${fields}`)).to.equal('7Gi me hello Bound');
        expect(await run('get', 'cm', 'a', '-o', 'jsonpath={.data}')).to.equal('{"a":"b","c":"d"}');
      });

      often('names what is wrong', async () => {
        const unknown = await attempt(
          'apply',
          '-f',
          file('bad.yaml', manifest('bad', '1Gi').replace('capacity', 'capacitty')),
        );
        expect(unknown.code).to.equal(1);
        expect(unknown.stderr).to.include('unknown field "spec.capacitty"');
        const refused = await attempt('patch', 'cvol', 'a', '--type=merge', '-p', '{"spec":{"capacity":"-1Gi"}}');
        expect(refused.stderr).to.include('spec.capacity');
      });

      it('waits for a condition, and watches', async () => {
        const condition = {
          type: 'Ready',
          status: 'True',
          reason: 'Done',
          message: '',
          lastTransitionTime: '2026-01-01T00:00:00Z',
        };
        const logFile = join(directory, 'watch.log');
        const args = ['-n', ns, 'get', 'cvol', '-w', '-o', 'name'];
        const watch = new Daemon({ name: `${tool} get -w`, command: kubectl.binary, args, env: kubectl.env, logFile });
        try {
          await waitFor(() => watch.output().includes('/a\n'), { message: 'the first line of the watch' });
          const waiting = run('wait', '--for=condition=Ready', '--timeout=30s', 'cvol/a');
          await run(
            'patch',
            'cvol',
            'a',
            '--subresource=status',
            '--type=merge',
            '-p',
            JSON.stringify({ status: { observedGeneration: 1000, conditions: [condition] } }),
          );
          expect(await waiting).to.match(/volume\S*\/a condition met/);
          await waitFor(() => watch.output().split('/a\n').length > 2, { message: 'a line for the change' });
        } finally {
          await watch.stop('SIGKILL');
        }
      });

      often('builds and applies a kustomization, and prunes nothing else', async () => {
        const folder = join(directory, 'kustomization');
        writeKustomization(folder);
        expect(await run('kustomize', folder)).to.include('name: prod-data\n');
        expect(await run('apply', '-k', folder)).to.match(
          /configmap\/prod-settings-\w+ created\nvolume\S*\/prod-data created/,
        );
        expect(
          await run('get', 'cvol', 'prod-data', '-o', 'jsonpath={.spec.capacity} {.metadata.labels.env}'),
        ).to.equal('20Gi prod');
      });

      it('deletes, waits for finalizers, and deletes the namespace with what is in it', async () => {
        await run('patch', 'cvol', 'a', '--type=merge', '-p', '{"metadata":{"finalizers":["example.com/hold"]}}');
        const late = await attempt('delete', 'cvol', 'a', '--timeout=500ms');
        expect(late.code).to.equal(1);
        await run('patch', 'cvol', 'a', '--type=merge', '-p', '{"metadata":{"finalizers":null}}');
        expect((await attempt('get', 'cvol', 'a')).stderr).to.include('NotFound');
        expect(await run('delete', 'cm', 'a', '--cascade=foreground')).to.include('configmap "a" deleted');
        expect(await run('delete', 'namespace', ns, '--timeout=60s')).to.include(`namespace "${ns}" deleted`);
        expect((await attempt('get', 'namespace', ns)).stderr).to.include('NotFound');
      });
    });
  }
}

/** As a GitOps repository has it: a prefix, labels, a generated config map, a patch. */
function writeKustomization(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  write(
    'kustomization.yaml',
    `namePrefix: prod-
labels:
- pairs: {env: prod}
resources: [volume.yaml]
configMapGenerator:
- name: settings
  literals: [a=b]
patches:
- target: {kind: Volume}
  patch: |-
    - op: replace
      path: /spec/capacity
      value: 20Gi
`,
  );
  write('volume.yaml', manifest('data', '1Gi').split('---')[0] ?? '');
}
