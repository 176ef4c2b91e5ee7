/** The API servers that the client and the runtime must work with alike. The real one is right. */
import type { ClientConfig } from '../../../src/kube/config.ts';
import { SERVERS as CONTRACT_SERVERS } from '../apiserver/servers.ts';

export interface KubeServer {
  readonly config: ClientConfig;
}

export const SERVERS: readonly { readonly name: string; readonly start: () => Promise<KubeServer> }[] =
  CONTRACT_SERVERS.map(({ name, start }) => ({
    name: name === 'real' ? 'a real kube-apiserver' : 'the embedded API server',
    start: async () => {
      const { target } = await start();
      const tls = target.ca === undefined ? { rejectUnauthorized: false } : { ca: target.ca };
      return { config: { server: target.url, tls, token: target.token } };
    },
  }));
