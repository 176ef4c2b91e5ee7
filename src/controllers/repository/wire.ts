/** The agent's controller of BackupRepositories, and what queues their keys. */
import type { Backup, VolumeBackup } from '../../api/backup.ts';
import { hasEnded } from '../../api/backup.ts';
import { FIELD_MANAGERS, FINALIZERS } from '../../api/group.ts';
import { BACKUPS, VOLUME_BACKUPS } from '../../api/meta.ts';
import type { NodeLayer } from '../../node/layer.ts';
import type { Manager } from '../../runtime/manager.ts';
import type { Delta } from '../../runtime/store.ts';
import type { BackupAgentWiring } from '../support/agent-wiring.ts';
import { BY_REPOSITORY, repositoryOfBackup } from '../support/indexes.ts';
import { Jobs } from '../support/jobs.ts';
import { KeyedLock } from '../support/keyed-lock.ts';
import { backupMentions, repositoryMentions } from '../support/named-data.ts';
import { concernsAgent, policyDiffers } from '../support/relevance.ts';
import type { Wanted } from '../support/sources.ts';
import { deltaSource, RESYNC_MS, resyncSource } from '../support/sources.ts';
import { createWriter } from '../support/writes.ts';
import { careAtOnce, looksAtOnce } from './jobs.ts';
import { repositoryReconciler } from './reconciler.ts';
import type { RepositoryState } from './state.ts';

export interface RepositoryWiring extends BackupAgentWiring {
  readonly node: Pick<NodeLayer, 'ensureUserPath'>;
}

export function addRepositories(manager: Manager, wiring: RepositoryWiring): void {
  const { dependencies, tools, caches, named, own, client, clock, node } = wiring;
  const { repositories, namespaces, classes } = caches;
  const { uses, nodeName } = dependencies;
  const backups = manager.cache<Backup>(BACKUPS, own);
  const parts = manager.cache<VolumeBackup>(VOLUME_BACKUPS, own);
  backups.store.addIndex(BY_REPOSITORY, repositoryOfBackup);
  named.follow(repositories, repositoryMentions);
  named.follow(backups, backupMentions);
  const jobOptions = { clock, uses, turns: new KeyedLock() };
  const looks = new Jobs({ name: 'repository-look', concurrency: looksAtOnce, ...jobOptions });
  const care = new Jobs({ name: 'repository-care', concurrency: careAtOnce, ...jobOptions });
  const states = new Map<string, RepositoryState>();
  const all = (): Wanted[] => repositories.store.keys().map((key) => ({ key }));
  manager.addController({
    name: 'repository',
    reconcile: repositoryReconciler({
      ...dependencies,
      tools,
      repositories: repositories.store,
      backupStore: backups.store,
      client,
      backupWriter: createWriter(client, FIELD_MANAGERS.repository),
      namespaces: namespaces.store,
      states,
      looks,
      care,
      makeDirectory: async (path, signal) => void (await node.ensureUserPath({ ...path, create: true }, signal)),
      isAtWork: (backupID) => parts.store.list().some((part) => part.spec.backupID === backupID && !hasEnded(part)),
    }),
    concurrency: REPOSITORIES_AT_ONCE,
    sources: [
      deltaSource(repositories, (delta) => (concernsAgent(delta, FINALIZERS.repository) ? [{ key: delta.key }] : [])),
      deltaSource(backups, (delta) => poked(delta)),
      deltaSource(parts, () => []),
      deltaSource(classes, (delta) => (policyDiffers(delta) ? all() : [])),
      deltaSource(namespaces, (delta) => (policyDiffers(delta) ? all() : [])),
      looks.source,
      care.source,
      named.source('named-data-of-repositories', () => repositories.store.keys()),
      resyncSource('repository-resync', clock, RESYNC_MS, () => repositories.store.keys()),
    ],
  });
  manager.addRunnable(looks.closer('repository-looks'));
  manager.addRunnable(care.closer('repository-care'));

  /** What was written down, or went, is to be seen in the repository; what has a node now is told of. */
  function poked(delta: Delta<Backup>): Wanted[] {
    const old = delta.type === 'added' ? undefined : delta.old;
    const object = delta.type === 'deleted' ? undefined : delta.object;
    if (delta.type === 'added' && delta.initial) return [];
    const key = repositoryOfBackup(object ?? (old as Backup))[0];
    const state = key === undefined ? undefined : states.get(key);
    if (key === undefined || repositories.store.get(key)?.status?.nodeName !== nodeName) return [];
    const isImported = (object ?? old)?.spec.imported !== undefined;
    const wasRecorded = object?.status?.record !== undefined && old?.status?.record === undefined;
    const gotNode = isImported && object?.status?.nodeName !== old?.status?.nodeName;
    if (state !== undefined && ((wasRecorded && !isImported) || object === undefined)) state.isPoked = true;
    return wasRecorded || gotNode || object === undefined ? [{ key, options: GATHERED }] : [];
  }
}

const REPOSITORIES_AT_ONCE = 16;
/** Many backups may come and go together. */
const GATHERED = { afterMs: 200 } as const;
