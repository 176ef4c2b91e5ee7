/** A real OpenClaw gateway, and a node of ours that has been let in. */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { toolPath } from '../../scripts/tools.ts';
import { COMMANDS } from '../../src/commands/registry.ts';
import { Operator } from '../../test/support/harness/openclaw-operator.ts';
import { gatewayEnvironment, writeGatewayConfig } from '../../test/support/harness/openclaw-settings.ts';
import { freePort } from '../../test/support/harness/ports.ts';
import type { Scope } from './scope.ts';

/** It loads for ten to twenty seconds, and longer where it is not alone. */
const READY_MS = 150_000;

export interface Gateway {
  readonly operator: Operator;
  /** Of the process that is to join it. */
  readonly nodeEnv: Readonly<Record<string, string>>;
  /** Lets the node in that has come, and returns its ID. */
  letIn(): Promise<string>;
}

/** Starts a gateway on loopback, where the token alone lets a device in. */
export async function startGateway(scope: Scope): Promise<Gateway> {
  const program = await toolPath('openclaw');
  const directory = scope.path('openclaw');
  mkdirSync(directory);
  const [token, port] = [randomBytes(24).toString('hex'), await freePort()];
  writeGatewayConfig(directory, port, token, { allow: COMMANDS.map(({ name }) => name) });
  const environment = gatewayEnvironment(directory, token);
  const process_ = scope.start('openclaw-gateway', process.execPath, [program, 'gateway', 'run'], environment);
  const url = `ws://127.0.0.1:${port}`;
  const operator = await until('the gateway', () => {
    process_.assertRunning();
    return Operator.connect(url, token).catch(() => undefined);
  });
  scope.onEnd(() => operator.close());
  return {
    operator,
    nodeEnv: { CLAWSTORE_OPENCLAW: url, CLAWSTORE_OPENCLAW_TOKEN: token },
    async letIn() {
      const pending = await until('the node', async () => (await operator.pending())[0]);
      await operator.request('node.pair.approve', { requestId: pending.requestId });
      await until('its commands', () =>
        operator.invoke(pending.nodeId, 'volume.list').then(
          () => true,
          () => undefined,
        ),
      );
      return pending.nodeId;
    },
  };
}

async function until<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) throw new Error(`${what} did not come in time`);
    await delay(100);
  }
}
