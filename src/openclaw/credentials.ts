/**
 * What the node shows the gateway to be let in: the token of this device, which the gateway gave it, or until there is
 * one the gateway's own, which somebody gave us.
 */
import { join } from 'node:path';
import type { PrivateFiles } from './private-files.ts';

export interface Credential {
  readonly kind: 'device' | 'shared' | 'none';
  /** Empty for none. */
  readonly token: string;
}

export interface CredentialOptions {
  readonly files: PrivateFiles;
  readonly directory: string;
  /** A device token is for the gateway that gave it and is shown to no other. */
  readonly gateway: string;
  readonly deviceId: string;
  /** Asked before each attempt, because a file may have been renewed; undefined = nobody gave one. */
  readonly sharedToken: () => Promise<string | undefined>;
}

interface KeptToken {
  readonly gateway: string;
  readonly deviceId: string;
  readonly token: string;
}

export class Credentials {
  readonly #options: CredentialOptions;
  readonly #file: string;
  #kept: string | undefined;

  constructor(options: CredentialOptions) {
    this.#options = options;
    this.#file = join(options.directory, 'device-token.json');
    this.#kept = this.#read();
  }

  /** @throws What reading the shared token does. */
  async current(): Promise<Credential> {
    if (this.#kept !== undefined) return { kind: 'device', token: this.#kept };
    const token = await this.#options.sharedToken();
    return token === undefined ? { kind: 'none', token: '' } : { kind: 'shared', token };
  }

  /** Keeps the token that the gateway gave; writes only what is new. */
  keep(token: string): void {
    if (token === this.#kept) return;
    const { gateway, deviceId, files } = this.#options;
    files.write(this.#file, `${JSON.stringify({ gateway, deviceId, token } satisfies KeptToken)}\n`);
    this.#kept = token;
  }

  /** The gateway no longer knows the token: the shared one gets us a new one. */
  forget(): void {
    this.#options.files.remove(this.#file);
    this.#kept = undefined;
  }

  #read(): string | undefined {
    const { files, gateway, deviceId } = this.#options;
    try {
      const kept = JSON.parse(files.read(this.#file) ?? 'null') as Partial<KeptToken> | null;
      const isOurs = kept?.gateway === gateway && kept.deviceId === deviceId;
      return isOurs && typeof kept.token === 'string' && kept.token !== '' ? kept.token : undefined;
    } catch {
      // A torn file is no token; the shared one gets us another.
      return undefined;
    }
  }
}
