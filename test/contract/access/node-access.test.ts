import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { parse } from 'yaml';
import { addNodeRights } from '../../../src/controllers/node-rights/wire.ts';
import { loadConfig } from '../../../src/kube/config.ts';
import { connect } from '../../../src/kube/rest-client.ts';
import { Manager } from '../../../src/runtime/manager.ts';
import { systemClock } from '../../../src/telemetry/clock.ts';
import { createLogger } from '../../../src/telemetry/log.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';
import { Client, SECRET, SECRET_BASE64, World } from '../../apiserver/access/support.ts';
import { onEnd } from '../../support/harness/run.ts';
import { waitFor } from '../../support/harness/wait.ts';
import { endSharedPlane, sharedPlane } from '../shared-planes.ts';
import { type AccessCase, CASES, fillForCases } from './cases.ts';

/** Objects, a node's client, and the way out. */
interface Server {
  readonly node: Client;
  readonly end: () => Promise<void>;
}

async function embedded(): Promise<Server> {
  const world = await World.start();
  onEnd(() => world.end());
  await fillForCases(world.admin);
  return { node: await world.byCertificate('node', 'n1'), end: () => Promise.resolve() };
}

/** What the manifests install, and of the controllers those that grant what nodes may read. */
async function real(): Promise<Server> {
  const plane = await sharedPlane('installed');
  const config = parse(readFileSync(plane.kubeconfig, 'utf8')) as {
    readonly clusters: readonly { readonly cluster: { readonly server: string } }[];
    readonly users: readonly { readonly user: { readonly token: string } }[];
  };
  const url = config.clusters[0]?.cluster.server ?? '';
  const caPem = readFileSync(join(plane.directory, 'certs/apiserver.crt'), 'utf8');
  const admin = new Client({ url, caPem }, { token: config.users[0]?.user.token ?? '' });
  await fillForCases(admin);
  const client = connect(await loadConfig({ kubeconfig: await plane.kubeconfigOf('controller', 'c') }));
  const manager = new Manager({ client, log: createLogger({ level: 'error' }), metrics: createMetrics() });
  addNodeRights(manager, { client, clock: systemClock, leaderOnly: false, accounts: 'clawstore-nodes' });
  const stop = new AbortController();
  const running = manager.run(stop.signal);
  const node = new Client({ url, caPem }, await plane.credential('node', 'n1'));
  return {
    node,
    async end() {
      stop.abort();
      await running;
      await client.close();
      await node.close();
      await admin.close();
      await endSharedPlane('installed');
    },
  };
}

for (const [name, start] of Object.entries({ embedded, real })) {
  describe(`the agent of a node, at the ${name} API server`, function () {
    this.timeout(120_000);
    let server: Server;
    before(async () => {
      server = await start();
    });
    after(() => server?.end());

    /** Grants and policies take effect a moment after they are made. */
    const isDecided = async ({ path, ask }: AccessCase, isAllowed: boolean): Promise<string> => {
      let answer = '';
      await waitFor(
        async () => {
          const { code, text } = await server.node.ask(path, ask ?? {});
          answer = `${code} ${text}`;
          // A schema that refuses comes before admission at a real server.
          const isRefused = code === 403 || (code === 422 && text.includes(' is invalid: '));
          return isRefused !== isAllowed;
        },
        { deadline: 60_000, message: isAllowed ? 'to be allowed' : 'to be refused', instead: () => answer },
      );
      return answer;
    };

    for (const one of CASES) {
      const isAllowed = (name === 'real' ? one.onReal : undefined) ?? one.isAllowed;
      it(isAllowed === one.isAllowed ? one.name : `${one.name} (but here)`, async () => {
        const answer = await isDecided(one, isAllowed);
        if (isAllowed) expect(answer).to.match(/^(200|201) /);
        else expect(answer).to.not.include(SECRET).and.not.include(SECRET_BASE64);
      });
    }
  });
}
