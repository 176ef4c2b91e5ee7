import { BackupError } from '../backup-error.ts';
import type { RepositoryAccess, RepositoryInfo } from '../engine.ts';
import type { ResticRunner } from './runner.ts';

/** Reads the configuration of a repository, which takes its key. */
export async function openRepository(
  runner: ResticRunner,
  access: RepositoryAccess,
  signal: AbortSignal,
): Promise<RepositoryInfo> {
  const said = await runner.output({ ...access, readOnly: true }, { args: ['cat', 'config', '--json'] }, signal);
  const { id, version } = JSON.parse(said.toString('utf8')) as { readonly id?: unknown; readonly version?: unknown };
  if (typeof id === 'string' && typeof version === 'number') return { id, formatVersion: version };
  throw new BackupError('Damaged', 'the configuration of the repository has no ID and version');
}
