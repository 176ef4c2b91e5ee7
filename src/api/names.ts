/**
 * Names and what is built from them. A name that reaches a path has passed {@link pathSegment}: nothing that a user types
 * does so unchecked.
 */

/** Longest DNS-1123 label (RFC 1123). */
export const MAX_LABEL = 63;
/** Longest DNS-1123 subdomain, the limit of most object names. */
export const MAX_SUBDOMAIN = 253;
/** Longest Volume name (`crds/`): it is a label value and a part of mount names. */
export const MAX_VOLUME_NAME = 63;
/** Longest VolumeMount name (`crds/`): leaves room for the suffix of Event names. */
export const MAX_MOUNT_NAME = 128;

const LABEL = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/;
const UID = /^[0-9a-z](?:[0-9a-z-]{0,62}[0-9a-z])?$/;
const HASH_LENGTH = 10;

/** Thrown for text that may not be used as a name or in a path. */
export class NameError extends Error {
  readonly field: string;

  constructor(field: string, message: string, options?: ErrorOptions) {
    super(`${field}: ${message}`, options);
    this.name = 'NameError';
    this.field = field;
  }
}

/** Says whether a text is a DNS-1123 label (namespaces, pools). */
export function isLabel(text: string): boolean {
  return text.length <= MAX_LABEL && LABEL.test(text);
}

/** Says whether a text is a DNS-1123 subdomain (object names). */
export function isSubdomain(text: string): boolean {
  return text.length <= MAX_SUBDOMAIN && SUBDOMAIN.test(text);
}

/**
 * Returns the text if it is safe as one path segment: a DNS-1123 subdomain, so never empty, `.`, `..`, or with a slash.
 * @throws NameError naming `field`.
 */
export function pathSegment(field: string, text: string): string {
  if (!isSubdomain(text)) {
    throw new NameError(field, `${JSON.stringify(text.slice(0, MAX_SUBDOMAIN))} is not a DNS-1123 name`);
  }
  return text;
}

/** Says whether a text has the form of an object UID. */
export function isUid(text: string): boolean {
  return UID.test(text);
}

/**
 * Returns the text if it is safe as a path segment made from an object UID.
 * @throws NameError naming `field`.
 */
export function uidSegment(field: string, text: string): string {
  if (!isUid(text)) throw new NameError(field, `${JSON.stringify(text.slice(0, MAX_LABEL))} is not an object UID`);
  return text;
}

/**
 * Returns the host directory that belongs to a VolumeMount: `MOUNT_ROOT/NAMESPACE/NAME`. Containers bind this directory, so
 * that a healed mount below it reaches them.
 * @throws NameError when namespace or name is not a DNS-1123 name.
 */
export function mountDirectory(mountRoot: string, namespace: string, name: string): string {
  return `${trimSlashes(mountRoot)}/${pathSegment('metadata.namespace', namespace)}/${pathSegment('metadata.name', name)}`;
}

/**
 * Returns the default host target of a VolumeMount: `MOUNT_ROOT/NAMESPACE/NAME/data`.
 * @throws NameError when namespace or name is not a DNS-1123 name.
 */
export function mountTarget(mountRoot: string, namespace: string, name: string): string {
  return `${mountDirectory(mountRoot, namespace, name)}/data`;
}

/**
 * Returns the name of the VolumeMount that `volume.mount` makes for a workload: `VOLUME-HASH(workloadId)`. The same
 * workload always gets the same name; two workloads differ by 50 bits of SHA-256.
 * @throws NameError when `volume` is not a name a Volume can have.
 */
export function mountName(volume: string, workloadId: string): string {
  if (!isSubdomain(volume) || volume.length > MAX_VOLUME_NAME) {
    throw new NameError('volumeId', `${JSON.stringify(volume.slice(0, MAX_SUBDOMAIN))} is not the name of a volume`);
  }
  return `${volume}-${shortHash(workloadId)}`;
}

/** Returns 10 characters of `0-9a-v` that depend on the whole text. */
export function shortHash(text: string): string {
  // The helper, which is started for each run of an engine, has these names too and never needs a hash.
  const { createHash } = process.getBuiltinModule('node:crypto');
  const digest = createHash('sha256').update(text).digest();
  const bits = digest.readBigUInt64BE(0) >> 14n;
  return bits.toString(32).padStart(HASH_LENGTH, '0');
}

function trimSlashes(path: string): string {
  return path.replace(/\/+$/, '');
}
