/** What a step reads of a Restore that has its backup. */
import type { Secret } from '../../api/core.ts';
import { SECRETS } from '../../api/meta.ts';
import type { PlannedVolume, Restore } from '../../api/restore.ts';
import { getIfPresent } from '../../kube/get-if-present.ts';
import type { BackupPlace } from '../policy/backup-source.ts';
import { placeIn } from '../policy/backup-source.ts';
import type { RestoreContent } from './content.ts';
import { CONTENT_KEY, unpackContent } from './content.ts';
import type { Dependencies } from './dependencies.ts';
import { memoryOf } from './dependencies.ts';
import type { WantedObjects } from './manifests.ts';
import { wantedObjects } from './manifests.ts';
import type { ObjectOrder } from './objects.ts';

/** What the agent has put into the Secret; undefined when it is not there. */
export async function contentOf(
  restore: Restore,
  deps: Dependencies,
  signal: AbortSignal,
): Promise<RestoreContent | undefined> {
  const memory = memoryOf(restore, deps);
  if (memory.content !== undefined) return memory.content;
  const { namespace } = restore.metadata;
  const name = restore.status?.manifestSecretRef?.name ?? '';
  const secret = await getIfPresent<Secret>(deps.client, SECRETS, { namespace, name }, { signal });
  const content = secret === undefined ? undefined : await unpackContent(secret.data?.[CONTENT_KEY]);
  if (content !== undefined) memory.content = content;
  return content;
}

export function wantedOf(
  restore: Restore,
  content: RestoreContent,
  planned: readonly PlannedVolume[],
  { nodes }: Dependencies,
): WantedObjects {
  return wantedObjects(restore, content, planned, (name) => nodes.get(name) !== undefined);
}

export function onlyNodeOf(restore: Restore, deps: Dependencies): string | undefined {
  const place = placeOf(restore, deps);
  return place.ok ? place.onlyNode : undefined;
}

export function placeOf(restore: Restore, deps: Dependencies): BackupPlace {
  const { repositoryRef, backupID = '' } = restore.status ?? {};
  const name = repositoryRef?.name ?? '';
  return placeIn(name, deps.repositories.get(`${restore.metadata.namespace}/${name}`), backupID);
}

export function orderOf({ spec, metadata }: Restore): ObjectOrder {
  return {
    policy: spec.objects?.conflictPolicy ?? 'Skip',
    restoreUID: metadata.uid ?? '',
    dryRun: spec.dryRun === true,
  };
}
