/**
 * Files of a Backup on their way into its repository, in Secrets that it owns: at its beginning the manifests, and what the
 * volumes were; at its end the document. Of each package the first Secret is made last, so that it stands for the whole.
 */
import type { Backup } from '../../api/backup.ts';
import type { Secret } from '../../api/core.ts';
import { API_VERSION, FIELD_MANAGERS, LABELS } from '../../api/group.ts';
import type { LocalReference } from '../../api/meta.ts';
import { BACKUPS, SECRETS } from '../../api/meta.ts';
import { shortHash } from '../../api/names.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import { getIfPresent } from '../../kube/get-if-present.ts';
import type { Files } from './packages.ts';
import { pack, packageCount, unpack } from './packages.ts';

export type Package = 'manifests' | 'document';

type Named = Pick<Backup, 'metadata'>;

export interface TransitDependencies {
  readonly client: Pick<KubeClient, 'get' | 'patch' | 'delete'>;
}

/** Secrets that the status can name. */
const MOST_SECRETS = 90;

/** Name of one Secret; another Backup of the same name has others. */
export function transitName({ metadata }: Named, what: Package, index: number): string {
  return `backup-${shortHash(metadata.uid ?? '')}-${what}-${index}`;
}

/** The Secrets of a package among those that a status names, in order. */
export function secretsOf(backup: Backup, what: Package): readonly LocalReference[] {
  const refs = backup.status?.manifestSecretRefs ?? [];
  const names = new Set(refs.map(({ name }) => name));
  const found: LocalReference[] = [];
  for (let index = 0; names.has(transitName(backup, what, index)); index += 1) {
    found.push({ name: transitName(backup, what, index) });
  }
  return found;
}

/** Writes a package, over what a kill has left of an earlier try. */
export async function send(
  backup: Backup,
  what: Package,
  files: Files,
  { client }: TransitDependencies,
  signal: AbortSignal,
): Promise<readonly LocalReference[]> {
  const parts = await pack(files);
  if (parts.length > MOST_SECRETS) throw new RangeError(`the ${what} of the backup take ${parts.length} Secrets`);
  const { namespace, name, uid = '' } = backup.metadata;
  for (const [index, data] of [...parts.entries()].reverse()) {
    const secret: Secret = {
      apiVersion: 'v1',
      kind: SECRETS.kind,
      metadata: {
        name: transitName(backup, what, index),
        ...(namespace === undefined ? {} : { namespace }),
        labels: { [LABELS.managedBy]: 'clawstore', [LABELS.backup]: name },
        ownerReferences: [{ apiVersion: API_VERSION, kind: BACKUPS.kind, name, uid }],
      },
      type: 'Opaque',
      data,
    };
    const options = { type: 'apply', force: true, fieldManager: FIELD_MANAGERS.controller, signal } as const;
    await client.patch(SECRETS, { namespace, name: secret.metadata.name }, secret, options);
  }
  return parts.map((_, index) => ({ name: transitName(backup, what, index) }));
}

/** Reads a package that is complete; undefined when it is not there. */
export async function receive(
  backup: Named,
  what: Package,
  { client }: { readonly client: Pick<KubeClient, 'get'> },
  signal: AbortSignal,
): Promise<{ readonly files: Files; readonly refs: readonly LocalReference[] } | undefined> {
  const secrets: Secret[] = [];
  for (let index = 0, count = 1; index < count; index += 1) {
    const secret = await read(backup, transitName(backup, what, index), client, signal);
    if (secret === undefined) return undefined;
    count = packageCount(secret) ?? 1;
    secrets.push(secret);
  }
  return { files: await unpack(secrets), refs: secrets.map(({ metadata }) => ({ name: metadata.name })) };
}

/** Removes what was on its way, whether the status names it or not. */
export async function discard(backup: Backup, { client }: TransitDependencies, signal: AbortSignal): Promise<void> {
  const names = new Set((backup.status?.manifestSecretRefs ?? []).map(({ name }) => name));
  for (const what of ['manifests', 'document'] as const) {
    const first = await read(backup, transitName(backup, what, 0), client, signal);
    const count = first === undefined ? 0 : (packageCount(first) ?? 1);
    for (let index = 0; index < count; index += 1) names.add(transitName(backup, what, index));
  }
  // The first of each goes last: it says how many others there are.
  const ordered = [...names].sort((a, b) => indexOf(b) - indexOf(a));
  for (const name of ordered) {
    try {
      await client.delete(SECRETS, { namespace: backup.metadata.namespace, name }, { signal });
    } catch (thrown) {
      if (!KubeError.from(thrown).isNotFound) throw thrown;
    }
  }
}

function indexOf(name: string): number {
  return Number(name.slice(name.lastIndexOf('-') + 1));
}

function read(
  { metadata: { namespace } }: Named,
  name: string,
  client: Pick<KubeClient, 'get'>,
  signal: AbortSignal,
): Promise<Secret | undefined> {
  return getIfPresent(client, SECRETS, { namespace, name }, { signal });
}
