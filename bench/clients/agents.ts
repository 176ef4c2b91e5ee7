/**
 * A process with agents of nodes that are none, each with connections and an identity of its own. `GET /` on its port
 * answers with what their watches brought.
 */
import { createServer } from 'node:http';
import { buildAgent } from '../../src/controllers/agent.ts';
import { loadConfig } from '../../src/kube/config.ts';
import { connect } from '../../src/kube/rest-client.ts';
import { createLogger } from '../../src/telemetry/log.ts';
import { createMetrics } from '../../src/telemetry/metrics.ts';
import { countedClient, type WatchCounts } from '../support/counted-client.ts';
import { simulatedNode } from '../support/simulated-node.ts';

export interface AgentsRequest {
  readonly kubeconfig: string;
  readonly port: number;
  readonly nodes: readonly { readonly name: string; readonly token: string }[];
}

/** By name of the node. */
export type AgentsAnswer = Readonly<Record<string, WatchCounts>>;

const { kubeconfig, port, nodes } = JSON.parse(process.argv[2] ?? '') as AgentsRequest;
const config = await loadConfig({ kubeconfig });
const log = createLogger({ level: 'error' });
const stop = new AbortController();
const counts: Record<string, WatchCounts> = {};
const running = nodes.map(({ name, token }) => {
  const { client, counts: own } = countedClient(connect({ ...config, token }), name);
  counts[name] = own;
  const agent = buildAgent({
    client,
    log,
    metrics: createMetrics(),
    nodeName: name,
    version: '0.0.0',
    ...simulatedNode(),
  });
  return agent.run(stop.signal).finally(() => client.close());
});
const server = createServer((_request, response) => response.end(JSON.stringify(counts))).listen(port, '127.0.0.1');
process.once('SIGTERM', () => stop.abort());
await Promise.all(running);
server.close();
