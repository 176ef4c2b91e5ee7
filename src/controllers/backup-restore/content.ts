/** What travels from the agent that reads a backup to the controller that restores it: gzip JSON, in one Secret. */
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { BackupDocument } from '../../backup/catalogue.ts';

/** Key of the Secret. */
export const CONTENT_KEY = 'content';
/** Largest Secret of Kubernetes is 1 MiB in all: this is what may be in it, before base64. */
export const MAX_CONTENT_BYTES = 1_000_000;
/** More than a document and manifests of such a size can be. */
const MAX_UNPACKED_BYTES = 256 * 1024 * 1024;

export interface RestoreContent {
  readonly document: BackupDocument;
  /** By the name of their file; each as JSON. */
  readonly manifests: Readonly<Record<string, string>>;
}

const [pack, unpack] = [promisify(gzip), promisify(gunzip)];

/** Packs it; base64. @throws RangeError when it is too large for a Secret. */
export async function packContent(content: RestoreContent): Promise<string> {
  const packed = await pack(JSON.stringify(content), { level: 9 });
  if (packed.length > MAX_CONTENT_BYTES) {
    throw new RangeError(
      `its document and manifests have ${packed.length} bytes packed, and a Secret takes ${MAX_CONTENT_BYTES}`,
    );
  }
  return packed.toString('base64');
}

/** Unpacks what was packed; undefined when it is not that (yet). */
export async function unpackContent(base64: string | undefined): Promise<RestoreContent | undefined> {
  if (base64 === undefined || base64 === '') return undefined;
  const text = await unpack(Buffer.from(base64, 'base64'), { maxOutputLength: MAX_UNPACKED_BYTES });
  return JSON.parse(text.toString('utf8')) as RestoreContent;
}
