import type { Backup } from '../../api/backup.ts';
import type { BackupRepository } from '../../api/backup-repository.ts';
import { isTrue } from '../../api/conditions.ts';
import { BACKUP_REPOSITORIES } from '../../api/meta.ts';
import { KubeError } from '../../kube/errors.ts';
import type { CommandContext } from '../command.ts';
import { fromKube } from '../wait.ts';

/** What a person should know although it succeeds: what it says itself, and that its key is in this installation alone. */
export async function warningsOf({ spec, status }: Backup, context: CommandContext): Promise<readonly string[]> {
  // What it says of the key was so when it began; the repository says how it is now.
  const own = (status?.warnings ?? []).filter((warning) => !warning.includes('export-key'));
  const name = (status?.repositoryRef ?? spec.repositoryRef)?.name;
  if (name === undefined) return own;
  const { client, namespace, signal } = context;
  try {
    const repository = await client.get<BackupRepository>(BACKUP_REPOSITORIES, { namespace, name }, { signal });
    if (isTrue(repository.status?.conditions, 'KeyExported')) return own;
    const command = `clawstore repository export-key ${name}`;
    return [
      ...own,
      `the key of repository "${name}" is kept only here: losing this disk loses its backups; run ${command}`,
    ];
  } catch (thrown) {
    const error = KubeError.from(thrown);
    if (error.isNotFound) return own;
    if (error.status !== 403) throw fromKube(error);
    return [...own, `whether the key of repository "${name}" is kept elsewhere, too, may not be read`];
  }
}
