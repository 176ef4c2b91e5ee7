/** Who the node is to gateways: an Ed25519 key that never leaves the state directory. */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { join } from 'node:path';
import type { Challenge } from './frames.ts';
import type { PrivateFiles } from './private-files.ts';

/** What the gateway knows of the node besides its key; the signature covers it. */
export interface Client {
  /** One of the gateway's closed list: this is the one for programs on a machine. */
  readonly id: 'node-host';
  readonly displayName: string;
  readonly version: string;
  readonly platform: string;
  readonly mode: 'node';
  readonly instanceId: string;
}

/** `connect.params.device` of the protocol. */
export interface SignedDevice {
  readonly id: string;
  readonly publicKey: string;
  readonly signature: string;
  readonly signedAt: number;
  readonly nonce: string;
}

const ROLE = 'node';

export class DeviceIdentity {
  /** SHA-256 of the raw public key, in hex: the gateway's name for the node. */
  readonly id: string;
  readonly #publicKey: string;
  readonly #key: KeyObject;

  private constructor(key: KeyObject) {
    // A JWK of an Ed25519 key has its 32 raw bytes in base64url as `x` (RFC 8037).
    const { x } = createPublicKey(key).export({ format: 'jwk' });
    if (key.asymmetricKeyType !== 'ed25519' || x === undefined) throw new TypeError('the key is not an Ed25519 key');
    this.#key = key;
    this.#publicKey = x;
    this.id = createHash('sha256').update(Buffer.from(x, 'base64url')).digest('hex');
  }

  /**
   * Reads the key, or makes it at the first start.
   * @throws Error naming the file when it is there and no key: a new one would be another node to the gateway.
   */
  static load(files: PrivateFiles, directory: string): DeviceIdentity {
    const file = join(directory, 'device-key.pem');
    const text = files.read(file);
    if (text === undefined) {
      const { privateKey } = generateKeyPairSync('ed25519');
      files.write(file, privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
      return new DeviceIdentity(privateKey);
    }
    try {
      return new DeviceIdentity(createPrivateKey(text));
    } catch (cause) {
      const message = `${file} has no Ed25519 key in it: put it back from a backup, or remove it to be a new node to the gateway`;
      throw new Error(message, { cause });
    }
  }

  /** Proves to the gateway who this is. `token` is the one sent along; empty for none. */
  sign(client: Client, { nonce, ts }: Challenge, token: string): SignedDevice {
    const { id, mode, platform } = client;
    const scopes = '';
    const deviceFamily = '';
    const text = ['v3', this.id, id, mode, ROLE, scopes, ts, token, nonce, platform, deviceFamily].join('|');
    const signature = sign(null, Buffer.from(text), this.#key).toString('base64url');
    return { id: this.id, publicKey: this.#publicKey, signature, signedAt: ts, nonce };
  }
}
