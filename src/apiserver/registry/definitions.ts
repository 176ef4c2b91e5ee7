import { randomUUID } from 'node:crypto';
import { type CustomKind, establishedStatus } from '../kinds/custom.ts';
import { deepEqual, isObject, type JsonObject } from '../schema/json-value.ts';
import type { Store } from '../storage/store.ts';
import { type Clock, timestamp } from './clock.ts';

/** Puts the CRDs that are served where clients read them; what did not change is left as it is. */
export function storeDefinitions(store: Store, kinds: readonly CustomKind[], clock: Clock): void {
  const collection = store.collection('apiextensions.k8s.io/customresourcedefinitions');
  const wanted = new Set<string>();
  for (const { crd } of kinds) {
    const sent = crd['metadata'] as JsonObject;
    const name = sent['name'] as string;
    wanted.add(name);
    const now = timestamp(clock);
    const stored = collection.get(name);
    const old = stored?.metadata;
    const spec = specOf(crd);
    if (stored !== undefined && deepEqual(stored.object['spec'], spec)) continue;
    const metadata: JsonObject = {
      name,
      uid: old?.['uid'] ?? randomUUID(),
      generation: Number(old?.['generation'] ?? 0) + 1,
      creationTimestamp: old?.['creationTimestamp'] ?? now,
      ...(isObject(sent['labels']) ? { labels: sent['labels'] } : {}),
      ...(isObject(sent['annotations']) ? { annotations: sent['annotations'] } : {}),
    };
    store.put(collection, name, {
      kind: 'CustomResourceDefinition',
      apiVersion: 'apiextensions.k8s.io/v1',
      metadata,
      spec,
      status: establishedStatus({ ...crd, spec }, now),
    });
  }
  for (const item of Array.from(collection.values())) if (!wanted.has(item.key)) store.delete(collection, item.key);
}

/** The spec with what the real server fills in. */
function specOf(crd: JsonObject): JsonObject {
  const spec = crd['spec'] as JsonObject;
  const names = spec['names'] as JsonObject;
  const kind = names['kind'] as string;
  return {
    ...spec,
    conversion: spec['conversion'] ?? { strategy: 'None' },
    names: { listKind: `${kind}List`, singular: kind.toLowerCase(), ...names },
  };
}
