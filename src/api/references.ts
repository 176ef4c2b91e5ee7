/**
 * Which Secrets and ConfigMaps an object names: the rights of a node's agent follow from that, on the embedded control
 * plane and on a real one. References are recognised by their names (`…SecretRef`, `…ConfigMapRef`, `caBundleRef`), so that a
 * field that is added one day counts by itself. Pure.
 */
import { DEFAULT_VOLUME_CLASS } from './group.ts';

/** What is read by its name alone. */
export type NamedResource = 'secrets' | 'configmaps';

const REFERENCES: Readonly<Record<NamedResource, RegExp>> = {
  secrets: /[sS]ecretRef$/,
  configmaps: /(?:[cC]onfigMap|caBundle)Ref$/,
};

/** The names in the references anywhere in a value, perhaps more than once. */
export function* namesIn(value: unknown, resource: NamedResource, field = ''): Generator<string> {
  if (Array.isArray(value)) {
    for (const item of value) yield* namesIn(item, resource, field);
    return;
  }
  if (!isRecord(value)) return;
  const { name } = value;
  if (REFERENCES[resource].test(field) && typeof name === 'string') yield name;
  for (const [key, inner] of Object.entries(value)) yield* namesIn(inner, resource, key);
}

/** The name in a reference. */
export function nameIn(reference: unknown): string | undefined {
  return isRecord(reference) && typeof reference['name'] === 'string' ? reference['name'] : undefined;
}

/** What of an object names others. */
interface Naming {
  readonly spec?: unknown;
  readonly status?: unknown;
}

/**
 * The names that an object of ours gives the agent of its node: those of its spec; of the volume that a snapshot is of,
 * which may be gone by now; of the Secrets with manifests on their way into or out of a repository; of the class that
 * completes the spec.
 *
 * @param plural e.g. `volumes`.
 * @param classNamed The spec of a VolumeClass.
 */
export function* namesFor(
  plural: string,
  { spec, status }: Naming,
  resource: NamedResource,
  classNamed: (name: string) => unknown,
): Generator<string> {
  if (plural === 'snapshots') {
    const source = isRecord(status) ? status['source'] : undefined;
    const volumeSpec = isRecord(source) ? source['volumeSpec'] : undefined;
    yield* namesFor('volumes', { spec: volumeSpec ?? {} }, resource, classNamed);
    return;
  }
  yield* namesIn(spec, resource);
  if (resource === 'secrets') yield* manifestSecrets(status);
  const judged = judgedByClass(plural, spec);
  if (judged === undefined) return;
  const named = judged['volumeClassName'];
  yield* namesIn(classNamed(typeof named === 'string' ? named : DEFAULT_VOLUME_CLASS), resource);
}

/** Secrets with manifests on their way into or out of a repository, as the controller noted them. */
function* manifestSecrets(status: unknown): Generator<string> {
  if (!isRecord(status)) return;
  const { manifestSecretRefs, manifestSecretRef } = status;
  for (const reference of [...(Array.isArray(manifestSecretRefs) ? manifestSecretRefs : []), manifestSecretRef]) {
    const name = nameIn(reference);
    if (name !== undefined) yield name;
  }
}

/** The part of a spec that a VolumeClass completes. */
function judgedByClass(plural: string, spec: unknown): Readonly<Record<string, unknown>> | undefined {
  if (!isRecord(spec)) return undefined;
  if (plural === 'volumes' || plural === 'backuprepositories') return spec;
  const { repository } = spec;
  return (plural === 'volumebackups' || plural === 'volumerestores') && isRecord(repository) ? repository : undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
