/** Writes the objects of the source, each by server-side apply with the marks that make it known as applied. */
import { FIELD_MANAGERS, LABELS, SYNC_FILE_ANNOTATION } from '../api/group.ts';
import { isDeleting, type KubeObjectBase, SECRETS } from '../api/meta.ts';
import type { KubeClient } from '../kube/client.ts';
import { KubeError } from '../kube/errors.ts';
import { needsApply } from '../kube/field-diff.ts';
import { keyOfObject, nameOfObject, type SourceObject } from './documents.ts';
import { APPLICABLE } from './kinds.ts';
import type { LiveObject } from './plan.ts';

/** Something about one file or one object that a person must mend. */
export interface Problem {
  readonly file: string;
  readonly line?: number;
  /** Absent where no object could be read. */
  readonly object?: string;
  readonly message: string;
}

export interface ApplyOutcome {
  readonly problems: readonly Problem[];
  /** Objects that are being deleted, and will be made again when they are gone. */
  readonly deleting: readonly SourceObject[];
}

/** So many at once: what arrives together is committed together. */
const AT_ONCE = 16;
const LONGEST_MESSAGE = 500;

/**
 * Applies all of them that are not as they should be, what others need first; one that is refused stops no other.
 * @param live What the API server has of what was applied before.
 * @throws KubeError when the API server cannot be reached, or the signal aborts.
 */
export async function applyObjects(
  client: KubeClient,
  objects: readonly SourceObject[],
  live: readonly LiveObject[],
  id: string,
  signal: AbortSignal,
): Promise<ApplyOutcome> {
  const present = new Map(live.map(({ resource, ref, object }) => [keyOfObject(resource, ref), object]));
  const problems: Problem[] = [];
  const deleting: SourceObject[] = [];
  for (const resource of APPLICABLE) {
    const ofKind = objects.filter((one) => one.resource === resource);
    for (let begin = 0; begin < ofKind.length; begin += AT_ONCE) {
      await Promise.all(
        ofKind.slice(begin, begin + AT_ONCE).map(async (one) => {
          try {
            const object = present.get(keyOfObject(resource, one.ref));
            if (isDeleting(await applyOne(client, one, object, id, signal))) deleting.push(one);
          } catch (thrown) {
            const error = KubeError.from(thrown);
            if (error.isAborted || error.isUnreachable) throw error;
            const { file, line, ref } = one;
            problems.push({ file, line, object: nameOfObject(resource, ref), message: messageOf(one, error) });
          }
        }),
      );
    }
  }
  return { problems, deleting };
}

/** @returns the object as it is then. */
async function applyOne(
  client: KubeClient,
  { resource, ref, object, file }: SourceObject,
  live: KubeObjectBase | undefined,
  id: string,
  signal: AbortSignal,
): Promise<KubeObjectBase> {
  const { labels, annotations } = object.metadata;
  const body = {
    ...object,
    metadata: {
      ...object.metadata,
      labels: { ...labels, [LABELS.sync]: id },
      annotations: { ...annotations, [SYNC_FILE_ANNOTATION]: file },
    },
  };
  if (live !== undefined && isAsWanted(body, live)) return live;
  const options = { type: 'apply', fieldManager: FIELD_MANAGERS.sync, force: true, fieldValidation: 'Strict' } as const;
  return client.patch(resource, ref, body, { ...options, signal });
}

/** Whether an apply would change nothing, by what the server itself says that we own. In doubt it is asked. */
function isAsWanted(body: KubeObjectBase, live: KubeObjectBase): boolean {
  const owned = live.metadata.managedFields?.find(
    ({ manager, operation, subresource }) =>
      manager === FIELD_MANAGERS.sync && operation === 'Apply' && (subresource ?? '') === '',
  )?.fieldsV1;
  if (owned === undefined) return false;
  const { apiVersion: _, kind: __, metadata, ...rest } = body;
  const { name: ___, namespace: ____, ...more } = metadata;
  return !needsApply({ metadata: more, ...rest }, live, owned);
}

/** What the server says of a Secret may quote it: of those only where the fault is. */
function messageOf({ resource }: SourceObject, error: KubeError): string {
  if (resource !== SECRETS) return error.message.slice(0, LONGEST_MESSAGE);
  const fields = [...new Set(error.causes.flatMap(({ field }) => field ?? []))];
  return fields.length === 0 ? error.reason : `${error.reason}: ${fields.join(', ')}`;
}
