/**
 * Files on their way between the controller and an agent: compressed, in as many Secrets as they need. Every Secret says of
 * how many it is one, so that less than all of them is never taken for the whole.
 */
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import type { Secret } from '../../api/core.ts';
import { SECRETS } from '../../api/meta.ts';

/** A Secret may have 1 MiB; some is left for its keys. */
const MOST_BYTES = 900 * 1024;
/** More than this was not packed by us. */
const MOST_UNPACKED_BYTES = 512 * 1024 * 1024;
const CONTENT = 'content';
const COUNT = 'count';

/** Text by path. */
export type Files = ReadonlyMap<string, string>;

/** The data of each Secret, in order. */
export async function pack(files: Files): Promise<readonly Readonly<Record<string, string>>[]> {
  const packed = await promisify(gzip)(JSON.stringify(Object.fromEntries(files)));
  const count = Math.max(1, Math.ceil(packed.length / MOST_BYTES));
  return Array.from({ length: count }, (_, index) => ({
    [CONTENT]: packed.subarray(index * MOST_BYTES, (index + 1) * MOST_BYTES).toString('base64'),
    [COUNT]: Buffer.from(String(count)).toString('base64'),
  }));
}

/** Of how many Secrets this is one; undefined when it is none of ours. */
export function packageCount({ data }: Secret): number | undefined {
  const count = Number(Buffer.from(data?.[COUNT] ?? '', 'base64').toString());
  return Number.isSafeInteger(count) && count > 0 ? count : undefined;
}

/** @throws RangeError when Secrets are missing, or are not what was packed. */
export async function unpack(secrets: readonly Secret[]): Promise<Files> {
  const [first] = secrets;
  if (first === undefined || packageCount(first) !== secrets.length) {
    throw new RangeError(`${secrets.length} ${SECRETS.plural} are not all of a package`);
  }
  const packed = Buffer.concat(secrets.map(({ data }) => Buffer.from(data?.[CONTENT] ?? '', 'base64')));
  const value: unknown = JSON.parse(
    (await promisify(gunzip)(packed, { maxOutputLength: MOST_UNPACKED_BYTES })).toString(),
  );
  if (typeof value !== 'object' || value === null) throw new RangeError('the package has no files');
  return new Map(Object.entries(value).map(([path, content]) => [path, String(content)]));
}
