import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { readManifests } from '../../src/cli/apply-dir.ts';
import { CliError, ExitCode } from '../../src/cli/exit-code.ts';
import { showLiveTable, type UntilReady } from '../../src/cli/live-table.ts';
import { refuseMovedMountRoot } from '../../src/cli/lock-node.ts';
import { isRunning, lastInstance, makeStateDir, readInstance, writeInstance } from '../../src/cli/state-dir.ts';
import { howToUse } from '../../src/cli/usage.ts';
import type { KubeClient } from '../../src/kube/client.ts';
import type { MountTable } from '../../src/node/layer.ts';

let folder: string;

/** Each test of the block has a directory of its own. */
function withFolder(): void {
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'clawstore-up-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));
}

const INSTANCE = { nodeName: 'n', mountRoot: '/run/clawstore/mounts', hostPathAllow: [], kubeconfig: '/k' };

describe('the state directory', () => {
  withFolder();

  it('is for its owner alone', () => {
    const { root } = makeStateDir(join(folder, 'a/state'));
    expect(statSync(root).mode & 0o777).to.equal(0o700);
  });

  it('is refused by name where there can be none', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    for (const path of [file, join(file, 'below')]) {
      expect(() => makeStateDir(path))
        .to.throw(CliError, `--state-dir: ${path} cannot be used`)
        .with.property('exitCode', ExitCode.usage);
    }
  });

  it('tells who runs on it, and after the end who ran', () => {
    expect(readInstance(folder)).to.equal(undefined);
    writeInstance(folder, INSTANCE);
    expect(readInstance(folder)).to.include({ pid: process.pid, nodeName: 'n' });
    // The same process ID with another start time is another process.
    writeFileSync(join(folder, 'instance.json'), JSON.stringify({ ...INSTANCE, pid: process.pid, identity: '1' }));
    expect(readInstance(folder)).to.equal(undefined);
    expect(lastInstance(folder)).to.include({ mountRoot: INSTANCE.mountRoot });
    expect(isRunning({ ...INSTANCE, pid: 2 ** 30, identity: '1' })).to.equal(false);
  });
});

describe('another mount root', () => {
  withFolder();

  const table = (mounted: readonly string[]): MountTable =>
    ({ below: (path: string) => mounted.filter((target) => target.startsWith(path)) }) as unknown as MountTable;

  it('is refused while mounts are below the one before, and only then', () => {
    writeInstance(folder, INSTANCE);
    const there = table([`${INSTANCE.mountRoot}/default/x/data`]);
    const moved = { mountRoot: '/elsewhere', table: there };
    expect(() => refuseMovedMountRoot(moved, folder))
      .to.throw(CliError, /1 mounts .* below \/run\/clawstore\/mounts.*clawstore down/)
      .with.property('exitCode', ExitCode.refused);
    expect(() => refuseMovedMountRoot({ mountRoot: INSTANCE.mountRoot, table: there }, folder)).not.to.throw();
    expect(() => refuseMovedMountRoot({ mountRoot: '/elsewhere', table: table([]) }, folder)).not.to.throw();
    expect(() => refuseMovedMountRoot(moved, join(folder, 'never-used'))).not.to.throw();
  });
});

describe('what is applied', () => {
  withFolder();

  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);

  it('is every document of the directory, what others need first', async () => {
    write('a.yaml', 'apiVersion: storage.clawbernetes.io/v1alpha1\nkind: Volume\nmetadata: {name: v}\n---\n---\n');
    write('b.json', '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"n"}}');
    write('notes.txt', 'not a manifest');
    mkdirSync(join(folder, 'below'));
    const manifests = await readManifests(folder);
    expect(manifests.map(({ object }) => `${object.kind} ${object.metadata.name}`)).to.deep.equal([
      'Namespace n',
      'Volume v',
    ]);
  });

  const refused: readonly (readonly [string, string])[] = [
    ['a: [1\n', 'x.yaml'],
    ['apiVersion: v1\nkind: Pod\nmetadata: {name: x}\n', 'v1 Pod is not a kind'],
    ['apiVersion: v1\nkind: Secret\n', 'metadata.name is missing'],
    ['kind: Volume\n', '(no apiVersion) Volume'],
  ];
  for (const [text, message] of refused) {
    it(`is refused with the file's name: ${JSON.stringify(text)}`, async () => {
      write('x.yaml', text);
      const error = await readManifests(folder).catch((thrown: unknown) => thrown);
      expect(error).to.be.instanceOf(CliError).with.property('message').that.includes(message).and.includes('x.yaml');
      expect(error).to.have.property('exitCode', ExitCode.usage);
    });
  }

  it('is refused when there is no such directory', async () => {
    const error = await readManifests(join(folder, 'none')).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(CliError).with.property('message').that.includes('none cannot be read');
  });
});

describe('waiting until all is Ready', () => {
  interface Object {
    readonly kind: string;
    readonly name: string;
    readonly ready: boolean;
    readonly observed?: number;
  }

  /** Serves the lists in turn, then the last one for ever. */
  const clientOf = (...states: readonly (readonly Object[])[]): KubeClient => {
    let turn = 0;
    const list = (resource: { readonly kind: string }): Promise<unknown> => {
      const state = states[Math.min(Math.floor(turn++ / 2), states.length - 1)] ?? [];
      const items = state.filter(({ kind }) => kind === resource.kind).map(itemOf);
      return Promise.resolve({ items });
    };
    return { list } as unknown as KubeClient;
  };
  const itemOf = ({ kind, name, ready, observed = 1 }: Object) => ({
    kind,
    metadata: { namespace: 'default', name, generation: 1 },
    status: {
      phase: 'Attached',
      observedGeneration: observed,
      conditions: [
        { type: 'Ready', status: ready ? 'True' : 'False', reason: ready ? 'Done' : 'Broken', message: 'why' },
      ],
    },
  });
  const show = async (client: KubeClient, untilReady: UntilReady, signal: AbortSignal) => {
    const lines: string[] = [];
    const out = { isTTY: false, write: (text: string) => lines.push(text) } as unknown as NodeJS.WriteStream;
    return { missing: await showLiveTable({ client, out, signal, untilReady }), lines };
  };
  /** Ends when it has looked three times, which is more often than any of this takes. */
  const showThrice = (client: KubeClient, untilReady: UntilReady) => {
    const stop = new AbortController();
    let lists = 0;
    const list = (resource: { readonly kind: string }): Promise<unknown> => {
      lists += 1;
      if (lists > 3 * 2) stop.abort();
      return client.list(resource as never);
    };
    return show({ list } as unknown as KubeClient, untilReady, stop.signal);
  };
  const all: UntilReady = { objects: undefined, caughtUp: () => true };
  const volume = (name: string, ready: boolean, observed = 1): Object => ({ kind: 'Volume', name, ready, observed });

  it('ends when the last one is Ready, and prints each change once', async () => {
    const client = clientOf([volume('a', false)], [volume('a', false)], [volume('a', true)]);
    const { missing, lines } = await show(client, all, AbortSignal.timeout(60_000));
    expect(missing).to.deep.equal([]);
    expect(
      lines.map((line) =>
        line
          .trim()
          .replace(/^[\d.]+ s /, '')
          .trim(),
      ),
    ).to.deep.equal(['Volume default/a: Attached, not ready: Broken', 'Volume default/a: Attached, Ready']);
  });

  it('believes no status before everything was looked at', async () => {
    let looks = 0;
    const caughtUp = (): boolean => ++looks > 1;
    const client = clientOf([volume('a', true)], [volume('a', false)]);
    const { missing } = await showThrice(client, { objects: undefined, caughtUp });
    expect(missing).to.deep.equal(['Volume default/a: Broken: why']);
  });

  it('does not take the status of an older generation for an answer', async () => {
    const { missing } = await showThrice(clientOf([volume('a', true, 0)]), all);
    expect(missing).to.have.length(1);
  });

  it('waits for what was applied and for nothing else, and says when that was deleted', async () => {
    const client = clientOf([volume('a', true), volume('other', false)]);
    const named = (name: string): UntilReady => ({ ...all, objects: [{ kind: 'Volume', namespace: 'default', name }] });
    expect((await show(client, named('a'), AbortSignal.timeout(60_000))).missing).to.deep.equal([]);
    expect((await showThrice(client, named('b'))).missing).to.deep.equal(['Volume default/b: it was deleted']);
  });

  it('is not content with nothing', async () => {
    expect((await showThrice(clientOf([]), all)).missing).to.deep.equal(['there is no volume']);
  });

  it('says that the control plane did not answer', async () => {
    const client = { list: () => Promise.reject(new Error('refused')) } as unknown as KubeClient;
    expect((await showThrice(client, all)).missing).to.deep.equal(['the control plane did not answer']);
  });
});

describe('what to do next', () => {
  it('works as it stands: settings that are not the defaults are in the lines', () => {
    const usual = {
      stateDir: '/var/lib/clawstore',
      mountRoot: '/run/clawstore/mounts',
      kubeconfig: '/var/lib/clawstore/kubeconfig',
    };
    const lines = howToUse(usual, undefined);
    expect(lines).to.include('  export KUBECONFIG=/var/lib/clawstore/kubeconfig');
    expect(lines.join('\n'))
      .to.match(/npx clawstore down +#/)
      .and.not.include('curl');
    const own = howToUse(
      { stateDir: '/s', mountRoot: '/m', kubeconfig: '/s/kubeconfig' },
      'http://127.0.0.1:1/metrics',
    );
    expect(own.join('\n')).to.include('npx clawstore down --state-dir /s --mount-root /m');
    expect(own.join('\n')).to.include('npx clawstore invoke --state-dir /s list');
    expect(own).to.include('  curl -s http://127.0.0.1:1/metrics');
  });
});
