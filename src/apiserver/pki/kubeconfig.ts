import { stringify } from 'yaml';
import { writePrivate } from '../storage/private-file.ts';

/** What a client needs to reach the server. */
export interface Access {
  /** `https://HOST:PORT`. */
  readonly server: string;
  readonly caPem: string;
  readonly user: string;
  readonly token: string;
}

/** Writes a kubeconfig (0600), whole or not at all. */
export function writeKubeconfig(file: string, { server, caPem, user, token }: Access): void {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: 'clawstore',
        cluster: { server, 'certificate-authority-data': Buffer.from(caPem).toString('base64') },
      },
    ],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'clawstore', context: { cluster: 'clawstore', user, namespace: 'default' } }],
    'current-context': 'clawstore',
  };
  writePrivate(file, stringify(config));
}
