/**
 * Keys of restic repositories that open at once. restic makes keys that take half a second of a core to open, which is
 * their point, and more than everything else that most tests do.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes, scryptSync } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The file of a key, as restic's `doc/design` has it. */
interface KeyFile {
  readonly N: number;
  readonly r: number;
  readonly p: number;
  readonly salt: string;
  readonly data: string;
}

const MAC_LENGTH = 16;
const NONCE_LENGTH = 16;
const PRIME = (1n << 130n) - 5n;
const CLAMP = 0x0ffffffc0ffffffc0ffffffc0fffffffn;

/** The same key, cheap to open; its name is the hash of its content. */
export function cheapKey(content: Buffer, password: string): { readonly name: string; readonly content: Buffer } {
  const file = JSON.parse(content.toString('utf8')) as KeyFile;
  const cheap = { ...file, N: 2, r: 1, p: 1, salt: randomBytes(64).toString('base64') };
  const secret = decrypt(derive(file, password), Buffer.from(file.data, 'base64'));
  const data = encrypt(derive(cheap, password), secret).toString('base64');
  const made = Buffer.from(JSON.stringify({ ...cheap, data }));
  return { name: createHash('sha256').update(made).digest('hex'), content: made };
}

/** Makes the keys of a repository in a directory cheap to open. */
export function cheapen(repository: string, password: string): void {
  const keys = join(repository, 'keys');
  for (const name of readdirSync(keys)) {
    const cheap = cheapKey(readFileSync(join(keys, name)), password);
    writeFileSync(join(keys, cheap.name), cheap.content);
    rmSync(join(keys, name));
  }
}

/** Gives a repository in a directory, the copy of another one, an ID of its own: caches go by it. */
export function giveOwnID(repository: string, password: string): void {
  const [name = ''] = readdirSync(join(repository, 'keys'));
  const file = JSON.parse(readFileSync(join(repository, 'keys', name), 'utf8')) as KeyFile;
  const { encrypt: secret, mac } = read<MasterKey>(derive(file, password), Buffer.from(file.data, 'base64'));
  const bytes = (text: string): Buffer => Buffer.from(text, 'base64');
  const master = { encrypt: bytes(secret), macK: bytes(mac.k), macR: bytes(mac.r) };
  const path = join(repository, 'config');
  const config = { ...read<object>(master, readFileSync(path)), id: randomBytes(32).toString('hex') };
  writeFileSync(path, encrypt(master, Buffer.from(JSON.stringify(config))));
}

/** What a key file hides, as restic's `doc/design` has it. */
interface MasterKey {
  readonly encrypt: string;
  readonly mac: { readonly k: string; readonly r: string };
}

function read<T>(keys: Keys, data: Buffer): T {
  return JSON.parse(decrypt(keys, data).toString('utf8')) as T;
}

interface Keys {
  readonly encrypt: Buffer;
  readonly macK: Buffer;
  readonly macR: Buffer;
}

function derive({ N, r, p, salt }: Omit<KeyFile, 'data'>, password: string): Keys {
  const bytes = scryptSync(password, Buffer.from(salt, 'base64'), 64, { N, r, p, maxmem: 256 * N * r + 1_000_000 });
  return { encrypt: bytes.subarray(0, 32), macK: bytes.subarray(32, 48), macR: bytes.subarray(48) };
}

function decrypt(keys: Keys, data: Buffer): Buffer {
  const nonce = data.subarray(0, NONCE_LENGTH);
  const body = data.subarray(NONCE_LENGTH, -MAC_LENGTH);
  if (!authenticate(keys, nonce, body).equals(data.subarray(-MAC_LENGTH))) throw new Error('the key does not open');
  const cipher = createDecipheriv('aes-256-ctr', keys.encrypt, nonce);
  return Buffer.concat([cipher.update(body), cipher.final()]);
}

function encrypt(keys: Keys, text: Buffer): Buffer {
  const nonce = randomBytes(NONCE_LENGTH);
  const cipher = createCipheriv('aes-256-ctr', keys.encrypt, nonce);
  const body = Buffer.concat([cipher.update(text), cipher.final()]);
  return Buffer.concat([nonce, body, authenticate(keys, nonce, body)]);
}

/** Poly1305-AES. */
function authenticate({ macK, macR }: Keys, nonce: Buffer, message: Buffer): Buffer {
  const cipher = createCipheriv('aes-128-ecb', macK, null).setAutoPadding(false);
  const pad = littleEndian(Buffer.concat([cipher.update(nonce), cipher.final()]));
  const r = littleEndian(macR) & CLAMP;
  let sum = 0n;
  for (let from = 0; from < message.length; from += 16) {
    const block = Buffer.concat([message.subarray(from, from + 16), Buffer.from([1])]);
    sum = ((sum + littleEndian(block)) * r) % PRIME;
  }
  let rest = (sum + pad) & ((1n << 128n) - 1n);
  const tag = Buffer.alloc(MAC_LENGTH);
  for (let at = 0; at < MAC_LENGTH; at += 1) {
    tag[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return tag;
}

function littleEndian(bytes: Buffer): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
