/**
 * Copies what lies under one prefix to another, by the server: no byte passes through this node.
 *
 * A bucket has no moment of its own. So it is listed, copied and listed again: when both listings are the same, what was
 * copied is what was there at the second one. Each object is copied only as the version that was listed.
 */
import { Reason } from '../../api/reasons.ts';
import { locationName, type S3Location } from '../../s3/location.ts';
import { DriverError, type LongCall } from '../driver.ts';
import { inParallel } from './in-parallel.ts';
import { withoutMarker } from './marker.ts';
import { type Listed, type S3Objects, statusOf } from './objects.ts';

export interface Copied {
  readonly bytes: bigint;
  /** When the listing was begun that all of it agrees with, or the last one. */
  readonly at: Date;
  /** Some objects that were written or deleted while the others were copied; none when all is of one moment. */
  readonly changed: readonly string[];
}

export interface CopyLimits {
  /** Above it an object is copied in parts, bytes; S3 copies at most 5 GiB in one request. */
  readonly whole: bigint;
  readonly part: bigint;
}

const MIB = 1024n * 1024n;
const LIMITS: CopyLimits = { whole: 1024n * MIB, part: 512n * MIB };
/** How often it is tried to catch a moment in which nothing is written. */
const ROUNDS = 3;
const MOST_NAMES = 5;

/**
 * Makes `to` what `from` is. What was left there by an earlier try is copied over, or removed.
 * @throws DriverError when a request fails, and when something at `to` cannot be removed.
 */
export async function copyObjects(
  from: S3Objects,
  to: S3Objects,
  { signal, onProgress }: LongCall,
  limits: CopyLimits = LIMITS,
): Promise<Copied> {
  const held = new Map<string, string>();
  for await (const page of to.list(signal)) for (const { key } of page) held.set(key, '');
  let at = new Date();
  let wanted = await listAll(from, signal);
  for (let round = 1; ; round++) {
    const missing = [...wanted.values()].filter(({ key, etag }) => held.get(key) !== etag);
    const bytesTotal = sizeOf(wanted.values());
    let bytesDone = bytesTotal - sizeOf(missing);
    const refused: Listed[] = [];
    await inParallel(missing, signal, async (object, workSignal) => {
      // What is not as it was listed shows in the next listing.
      const became = await copyObject(from.location, to, object, limits, workSignal);
      if (became === 'copied') held.set(object.key, object.etag);
      if (became === 'refused') refused.push(object);
      bytesDone += object.size;
      onProgress({ bytesDone, bytesTotal });
    });
    const gone = [...held.keys()].filter((key) => !wanted.has(key));
    await to.removeKeys(gone, signal);
    for (const key of gone) held.delete(key);
    await inParallel(refused, signal, async (object, workSignal) => {
      if (held.has(object.key)) await to.removeKeys([object.key], workSignal);
      const became = await copyObject(from.location, to, object, limits, workSignal);
      if (became === 'copied') held.set(object.key, object.etag);
    });
    const seenAt = new Date();
    const seen = await listAll(from, signal);
    const changed = differences(held, seen);
    if (changed.length === 0) return { bytes: sizeOf(seen.values()), at: seenAt, changed };
    if (round === ROUNDS) {
      return { bytes: sizeOf(wanted.values()), at, changed: changed.slice(0, MOST_NAMES) };
    }
    [at, wanted] = [seenAt, seen];
  }
}

/** Everything at a place, by its key. */
export async function listAll(objects: S3Objects, signal: AbortSignal): Promise<ReadonlyMap<string, Listed>> {
  const all = new Map<string, Listed>();
  for await (const page of objects.list(signal)) for (const object of page) all.set(object.key, object);
  return all;
}

function differences(held: ReadonlyMap<string, string>, seen: ReadonlyMap<string, Listed>): readonly string[] {
  const changed = [...seen.values()].filter(({ key, etag }) => held.get(key) !== etag).map(({ key }) => key);
  return [...changed, ...[...held.keys()].filter((key) => !seen.has(key))];
}

/**
 * `changed`: the object is not any more what was listed. `refused`: something is in the way there. Servers that keep objects
 * as files have no `a` beside `a/b`, and some replace no name of 255 bytes.
 */
async function copyObject(
  from: S3Location,
  to: S3Objects,
  object: Listed,
  limits: CopyLimits,
  signal: AbortSignal,
): Promise<'copied' | 'changed' | 'refused'> {
  try {
    if (object.size === 0n && object.key.endsWith('/')) await makeFolder(from, to, object, signal);
    else if (object.size > limits.whole) await copyInParts(from, to, object, limits.part, signal);
    else await copyWhole(from, to, object, signal);
    return 'copied';
  } catch (thrown) {
    const status = thrown instanceof DriverError ? statusOf(thrown.cause) : undefined;
    if (status === 412 || status === 404) return 'changed';
    if (status === 409) return 'refused';
    throw thrown;
  }
}

async function copyWhole(from: S3Location, to: S3Objects, object: Listed, signal: AbortSignal): Promise<void> {
  const { CopyObjectResult } = await to.request('Copying to', signal, (sdk, client, options) =>
    client.send(
      new sdk.CopyObjectCommand({
        Bucket: to.location.bucket,
        Key: to.keyOf(object.key),
        ...sourceOf(from, object),
      }),
      options,
    ),
  );
  // An error may come with status 200, once the server has begun to answer (S3 API, CopyObject).
  if (CopyObjectResult?.ETag === undefined) throw unconfirmed(to);
}

/** An empty object that stands for a directory is made anew: some servers copy no such thing. Whose it was is not copied. */
async function makeFolder(from: S3Location, to: S3Objects, object: Listed, signal: AbortSignal): Promise<void> {
  const { Metadata } = await readHead(from, to, object, signal);
  await to.request('Writing to', signal, (sdk, client, options) =>
    client.send(
      new sdk.PutObjectCommand({
        Bucket: to.location.bucket,
        Key: to.keyOf(object.key),
        Body: new Uint8Array(0),
        Metadata: withoutMarker(Metadata),
      }),
      options,
    ),
  );
}

function readHead({ bucket, prefix }: S3Location, to: S3Objects, { key, etag }: Listed, signal: AbortSignal) {
  const request = { Bucket: bucket, Key: `${prefix}${key}`, IfMatch: etag };
  return to.request('Reading', signal, (sdk, client, options) =>
    client.send(new sdk.HeadObjectCommand(request), options),
  );
}

async function copyInParts(
  from: S3Location,
  to: S3Objects,
  object: Listed,
  partBytes: bigint,
  signal: AbortSignal,
): Promise<void> {
  const target = { Bucket: to.location.bucket, Key: to.keyOf(object.key) };
  // Parts carry nothing of what is noted with the object, its time among it.
  const { Metadata, ContentType } = await readHead(from, to, object, signal);
  const { UploadId } = await to.request('Copying to', signal, (sdk, client, options) =>
    client.send(new sdk.CreateMultipartUploadCommand({ ...target, Metadata, ContentType }), options),
  );
  if (UploadId === undefined) throw unconfirmed(to);
  try {
    const Parts: { readonly PartNumber: number; readonly ETag: string }[] = [];
    for (let start = 0n; start < object.size; start += partBytes) {
      const PartNumber = Parts.length + 1;
      const end = start + partBytes < object.size ? start + partBytes : object.size;
      const CopySourceRange = `bytes=${start}-${end - 1n}`;
      const { CopyPartResult } = await to.request('Copying to', signal, (sdk, client, options) =>
        client.send(
          new sdk.UploadPartCopyCommand({
            ...target,
            UploadId,
            PartNumber,
            CopySourceRange,
            ...sourceOf(from, object),
          }),
          options,
        ),
      );
      if (CopyPartResult?.ETag === undefined) throw unconfirmed(to);
      Parts.push({ PartNumber, ETag: CopyPartResult.ETag });
    }
    const { ETag } = await to.request('Copying to', signal, (sdk, client, options) =>
      client.send(new sdk.CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts } }), options),
    );
    if (ETag === undefined) throw unconfirmed(to);
  } catch (thrown) {
    // What stays of it is removed with the prefix.
    await to
      .request('Aborting an upload to', AbortSignal.timeout(5_000), (sdk, client, options) =>
        client.send(new sdk.AbortMultipartUploadCommand({ ...target, UploadId }), options),
      )
      .catch(() => undefined);
    throw thrown;
  }
}

/** The source of a copy, as a header: each part of the key is encoded, the slashes are not. */
function sourceOf(
  { bucket, prefix }: S3Location,
  { key, etag }: Listed,
): { readonly CopySource: string; readonly CopySourceIfMatch: string } {
  const path = `${prefix}${key}`.split('/').map(encodeURIComponent).join('/');
  return { CopySource: `${bucket}/${path}`, CopySourceIfMatch: etag };
}

function unconfirmed(to: S3Objects): DriverError {
  const message = `The server did not say that it copied an object to ${locationName(to.location)}; tried again`;
  return new DriverError(Reason.ServerError, message);
}

function sizeOf(objects: Iterable<Listed>): bigint {
  let sum = 0n;
  for (const { size } of objects) sum += size;
  return sum;
}
