import { writePrivate } from '../storage/private-file.ts';
import type { KeyPair } from './certificates.ts';

/** What a client needs to reach the server. */
export interface Access {
  /** `https://HOST:PORT`. */
  readonly server: string;
  readonly caPem: string;
  readonly user: string;
  readonly credential: { readonly token: string } | KeyPair;
}

/** A kubeconfig, as JSON: every client takes it, and ours need not load what reads YAML. */
export function kubeconfig({ server, caPem, user, credential }: Access): string {
  const shown =
    'token' in credential
      ? { token: credential.token }
      : { 'client-certificate-data': base64(credential.cert), 'client-key-data': base64(credential.key) };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'clawstore', cluster: { server, 'certificate-authority-data': base64(caPem) } }],
    users: [{ name: user, user: shown }],
    contexts: [{ name: 'clawstore', context: { cluster: 'clawstore', user, namespace: 'default' } }],
    'current-context': 'clawstore',
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** Writes a kubeconfig (0600), whole or not at all. */
export function writeKubeconfig(file: string, access: Access): void {
  writePrivate(file, kubeconfig(access));
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
