/** Makes and changes objects from the manifests of a backup. Each may be done again at any time. */
import { FIELD_MANAGERS } from '../../api/group.ts';
import type { KubeObjectBase } from '../../api/meta.ts';
import type { ConflictPolicy } from '../../api/restore.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import { getIfPresent } from '../../kube/get-if-present.ts';
import type { LeftOut, WantedObject } from './manifests.ts';
import { objectStep, replaced } from './manifests.ts';

export type ObjectClient = Pick<KubeClient, 'create' | 'get' | 'replace'>;

export interface ObjectResult {
  readonly succeeded: number;
  readonly failed: readonly LeftOut[];
  readonly skipped: readonly LeftOut[];
}

export interface ObjectOrder {
  readonly policy: ConflictPolicy;
  readonly restoreUID: string;
  /** Nothing is changed: what would be is counted. */
  readonly dryRun: boolean;
}

/** Objects that stand in the way when the policy is Fail. */
export async function conflictsOf(
  objects: readonly WantedObject[],
  { policy, restoreUID }: ObjectOrder,
  client: ObjectClient,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (policy !== 'Fail') return [];
  const titles: string[] = [];
  for (const wanted of objects) {
    const live = await find(wanted, client, signal);
    if (objectStep(wanted, live, policy, restoreUID).step === 'conflict') titles.push(wanted.title);
  }
  return titles;
}

/** @throws KubeError for what may pass (a server that does not answer); what is refused is a result. */
export async function restoreObjects(
  objects: readonly WantedObject[],
  order: ObjectOrder,
  client: ObjectClient,
  signal: AbortSignal,
): Promise<ObjectResult> {
  const [failed, skipped]: [LeftOut[], LeftOut[]] = [[], []];
  let succeeded = 0;
  for (const wanted of objects) {
    const { title } = wanted;
    const message = await restoreOne(wanted, order, client, signal);
    if (message === undefined) succeeded += 1;
    else if (message.isFailure) failed.push({ title, message: message.text });
    else skipped.push({ title, message: message.text });
  }
  return { succeeded, failed, skipped };
}

type Said = { readonly isFailure: boolean; readonly text: string } | undefined;

async function restoreOne(
  wanted: WantedObject,
  { policy, restoreUID, dryRun }: ObjectOrder,
  client: ObjectClient,
  signal: AbortSignal,
): Promise<Said> {
  const live = await find(wanted, client, signal);
  const step = objectStep(wanted, live, policy, restoreUID);
  switch (step.step) {
    case 'none':
      return step.isOurs ? undefined : { isFailure: false, text: 'It exists and is as it was.' };
    case 'skip':
      return { isFailure: false, text: step.message };
    case 'conflict':
      return { isFailure: true, text: 'It exists and is different; conflictPolicy is Fail.' };
    case 'create':
    case 'replace':
      return await write(wanted, live, { client, dryRun, signal });
  }
}

async function write(
  { resource, object }: WantedObject,
  live: KubeObjectBase | undefined,
  { client, dryRun, signal }: { readonly client: ObjectClient; readonly dryRun: boolean; readonly signal: AbortSignal },
): Promise<Said> {
  const options = { fieldManager: FIELD_MANAGERS.controller, dryRun, signal };
  try {
    if (live === undefined) await client.create(resource, object, options);
    else await client.replace(resource, replaced(live, object), options);
    return undefined;
  } catch (thrown) {
    const error = KubeError.from(thrown);
    const isRefused = error.status === 422 || error.status === 400 || error.status === 403;
    if (!isRefused) throw error;
    return { isFailure: true, text: error.message };
  }
}

function find(
  { resource, object }: WantedObject,
  client: ObjectClient,
  signal: AbortSignal,
): Promise<KubeObjectBase | undefined> {
  return getIfPresent(client, resource, object.metadata, { signal });
}
