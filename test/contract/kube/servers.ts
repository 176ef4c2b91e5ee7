/** The API servers that the client and the runtime must work with alike. The real one is right. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startApiServer } from '../../../src/apiserver/index.ts';
import type { RealServer } from './real-server.ts';
import { startRealServer } from './real-server.ts';

async function startEmbeddedServer(): Promise<RealServer> {
  const dir = await mkdtemp(join(tmpdir(), 'clawstore-embedded-'));
  const crdsDir = fileURLToPath(new URL('../../../crds', import.meta.url));
  const server = await startApiServer({ stateDir: join(dir, 'state'), crdsDir });
  return {
    config: { server: server.url, tls: { ca: server.caPem }, token: server.adminToken },
    stop: async () => {
      await server.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export const SERVERS: readonly { readonly name: string; readonly start: () => Promise<RealServer> }[] = [
  { name: 'a real kube-apiserver', start: startRealServer },
  { name: 'the embedded API server', start: startEmbeddedServer },
];
