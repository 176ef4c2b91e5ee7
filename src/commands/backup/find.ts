/** Finds the Backup that a caller named. */
import type { Backup } from '../../api/backup.ts';
import { BACKUPS } from '../../api/meta.ts';
import { isSubdomain } from '../../api/names.ts';
import { getIfPresent } from '../../kube/get-if-present.ts';
import type { CommandContext } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { fromKube } from '../wait.ts';
import { idOf } from './state.ts';

const PAGE = 500;

/** By its ID in the repository, or else by the name of its object. @throws CommandError `NotFound`. */
export async function findBackup(backupId: string, context: CommandContext): Promise<Backup> {
  // An ID mostly begins with the name, which spares the list; what was imported has another one.
  const byName = await named(backupId.slice(0, Math.max(0, backupId.lastIndexOf('-'))), context);
  if (byName !== undefined && idOf(byName) === backupId) return byName;
  const found = (await byID(backupId, context)) ?? (await named(backupId, context));
  if (found !== undefined) return found;
  const where = `in namespace ${context.namespace}`;
  const message = `there is no backup "${backupId}" ${where}; backup.list shows those that are known`;
  throw new CommandError('NotFound', message, { field: 'backupId' });
}

async function named(name: string, { client, namespace, signal }: CommandContext): Promise<Backup | undefined> {
  if (!isSubdomain(name)) return undefined;
  try {
    return await getIfPresent(client, BACKUPS, { namespace, name }, { signal });
  } catch (thrown) {
    throw fromKube(thrown);
  }
}

async function byID(backupId: string, context: CommandContext): Promise<Backup | undefined> {
  for await (const backup of allBackups(context)) {
    if (idOf(backup) === backupId) return backup;
  }
  return undefined;
}

/** Every Backup of the namespace. @throws CommandError */
export async function* allBackups({ client, namespace, signal }: CommandContext): AsyncGenerator<Backup> {
  try {
    for await (const { items } of client.listPages<Backup>(BACKUPS, { namespace, limit: PAGE, signal })) yield* items;
  } catch (thrown) {
    throw fromKube(thrown);
  }
}
