/** The repository of a Backup: named by it, or found or made for its destination. */
import { randomBytes } from 'node:crypto';
import type { Backup } from '../../api/backup.ts';
import type { BackupRepository, RepositorySource } from '../../api/backup-repository.ts';
import { PASSWORD_KEY } from '../../api/backup-repository.ts';
import type { Secret } from '../../api/core.ts';
import type { DestinationDefaults } from '../../api/destination-defaults.ts';
import { completedSource, defaultsFor, specDefaults } from '../../api/destination-defaults.ts';
import { API_VERSION, FIELD_MANAGERS, LABELS } from '../../api/group.ts';
import { BACKUP_REPOSITORIES, SECRETS } from '../../api/meta.ts';
import type { Reason } from '../../api/reasons.ts';
import { parseDestination, repositoryBelow, repositoryURL } from '../../api/repository-url.ts';
import type { KubeClient } from '../../kube/client.ts';
import { KubeError } from '../../kube/errors.ts';
import { keyName, repositoryName } from './identity.ts';

const KEY_BYTES = 32;

export type Wanted =
  | { readonly kind: 'named'; readonly name: string }
  | {
      readonly kind: 'destination';
      readonly source: RepositorySource;
      readonly url: string;
      readonly defaults: DestinationDefaults | undefined;
    }
  | { readonly kind: 'refused'; readonly reason: Reason; readonly message: string };

/** Where a Backup goes. Pure. */
export function wantedRepository({ metadata, spec }: Backup, all: readonly DestinationDefaults[] = []): Wanted {
  if (spec.repositoryRef !== undefined) return { kind: 'named', name: spec.repositoryRef.name };
  const destination = parseDestination(spec.destination ?? '');
  if (!destination.ok)
    return { kind: 'refused', reason: 'InvalidSpec', message: `destination ${destination.problem}.` };
  const defaults = defaultsFor(destination.source, all);
  const source = repositoryBelow(completedSource(destination.source, defaults), metadata.namespace ?? '');
  return { kind: 'destination', source, url: repositoryURL(source), defaults };
}

/**
 * The one of a URL, among those of the namespace. Of a directory it must be on the node where it is wanted: the same path on
 * another node is another repository.
 */
export function repositoryAt(
  url: string,
  nodeName: string | undefined,
  repositories: readonly BackupRepository[],
): BackupRepository | undefined {
  const found = repositories
    .filter(({ spec, status }) => status?.url === url || repositoryURL(spec) === url)
    .filter(({ spec }) => spec.hostPath === undefined || nodeName === undefined || spec.nodeName === nodeName)
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const name = made(url, nodeName);
  return found.find(({ metadata }) => metadata.name === name) ?? found[0];
}

export interface Maker {
  readonly client: Pick<KubeClient, 'create'>;
  readonly signal: AbortSignal;
}

/**
 * Makes the repository of a URL, its key before it. A key that is there is never replaced: it may open what is there.
 * @returns its name.
 */
export async function makeRepository(
  namespace: string,
  { source, url, defaults }: Extract<Wanted, { readonly kind: 'destination' }>,
  nodeName: string | undefined,
  { client, signal }: Maker,
): Promise<string> {
  const name = made(url, nodeName);
  const labels = { [LABELS.managedBy]: 'clawstore' };
  const options = { fieldManager: FIELD_MANAGERS.controller, signal };
  const key: Secret = {
    apiVersion: 'v1',
    kind: SECRETS.kind,
    metadata: { name: keyName(name), namespace, labels: { ...labels, [LABELS.repository]: name } },
    type: 'Opaque',
    stringData: { [PASSWORD_KEY]: randomBytes(KEY_BYTES).toString('base64') },
  };
  const repository: BackupRepository = {
    apiVersion: API_VERSION,
    kind: BACKUP_REPOSITORIES.kind,
    metadata: { name, namespace, labels },
    spec: {
      ...source,
      ...(source.hostPath === undefined || nodeName === undefined ? {} : { nodeName }),
      ...specDefaults(defaults),
      encryption: { secretRef: { name: defaults?.keySecret ?? keyName(name) } },
    },
  };
  // A key of their own is brought by people, and waited for.
  if (defaults?.keySecret === undefined) await unlessThere(() => client.create(SECRETS, key, options));
  await unlessThere(() => client.create(BACKUP_REPOSITORIES, repository, options));
  return name;
}

/** The name of what is made: directories of several nodes have the same URL. */
function made(url: string, nodeName: string | undefined): string {
  return repositoryName(url.startsWith('file:') ? `${nodeName ?? ''} ${url}` : url);
}

async function unlessThere(create: () => Promise<unknown>): Promise<void> {
  try {
    await create();
  } catch (thrown) {
    if (!KubeError.from(thrown).isAlreadyExists) throw thrown;
  }
}
