import type { BackupRepository } from '../../api/backup-repository.ts';
import { keyMark, PASSWORD_KEY } from '../../api/backup-repository.ts';
import type { Secret } from '../../api/core.ts';
import { FIELD_MANAGERS, KEY_EXPORTED_ANNOTATION, LABELS, MANAGED_BY } from '../../api/group.ts';
import { BACKUP_REPOSITORIES, SECRETS } from '../../api/meta.ts';
import { KubeError } from '../../kube/errors.ts';
import type { Command, CommandContext } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { fromKube } from '../wait.ts';

interface Params {
  readonly name?: string;
}

/** All that a recovery needs, besides the credentials of the server. */
export interface ExportedKey {
  readonly repository: string;
  readonly url: string;
  readonly password: string;
}

/**
 * `clawstore repository export-key`: gives the key out, and then notes on its Secret that it was, so that nobody is warned any
 * more.
 *
 * @param keep Puts the key where it is to be; what it throws leaves the Secret as it is.
 */
export function repositoryExportKey(keep: (key: ExportedKey) => Promise<void>): Command<Params, undefined> {
  return {
    name: 'repository export-key',
    summary: 'Give out the URL and the key of a repository.',
    parameters: {
      required: [],
      properties: {
        name: { type: 'string', description: 'The repository; without it, the only one there is.', minLength: 1 },
      },
    },
    async run({ name }, context) {
      try {
        const repository = await find(name, context);
        const secret = await keyOf(repository, context);
        const password = decoded(secret);
        const url = repository.status?.url;
        const what = `repository "${repository.metadata.name}"`;
        if (password === '') throw new CommandError('Refused', `the Secret of ${what} has no ${PASSWORD_KEY}`);
        if (url === undefined) {
          throw new CommandError(
            'Refused',
            `nothing has looked at ${what} yet, so that its URL is not known; try again`,
          );
        }
        await keep({ repository: repository.metadata.name, url, password });
        await mark(secret, password, context);
        return undefined;
      } catch (thrown) {
        // What `keep` threw is its caller's own.
        throw thrown instanceof KubeError ? fromKube(thrown) : thrown;
      }
    },
  };
}

async function find(
  name: string | undefined,
  { client, namespace, signal }: CommandContext,
): Promise<BackupRepository> {
  if (name !== undefined) return client.get<BackupRepository>(BACKUP_REPOSITORIES, { namespace, name }, { signal });
  const { items } = await client.list<BackupRepository>(BACKUP_REPOSITORIES, { namespace, signal });
  const [first] = items;
  if (first !== undefined && items.length === 1) return first;
  if (first === undefined) throw new CommandError('NotFound', `namespace "${namespace}" has no repository yet`);
  const names = items.map(({ metadata }) => metadata.name).join(', ');
  throw new CommandError('InvalidParameter', `name: there are several repositories: ${names}`, { field: 'name' });
}

function keyOf({ spec }: BackupRepository, { client, namespace, signal }: CommandContext): Promise<Secret> {
  return client.get<Secret>(SECRETS, { namespace, name: spec.encryption.secretRef.name }, { signal });
}

/** As the engine gets it: without what an editor leaves at the end. */
function decoded({ data }: Secret): string {
  return Buffer.from(data?.[PASSWORD_KEY] ?? '', 'base64')
    .toString('utf8')
    .trim();
}

/** Of a key that people made there is nothing to note. */
async function mark({ metadata }: Secret, password: string, { client, signal }: CommandContext): Promise<void> {
  const value = keyMark(password);
  if (metadata.labels?.[LABELS.managedBy] !== MANAGED_BY) return;
  if (metadata.annotations?.[KEY_EXPORTED_ANNOTATION] === value) return;
  const { namespace, name, uid } = metadata;
  const body = { metadata: { uid, annotations: { [KEY_EXPORTED_ANNOTATION]: value } } };
  await client.patch(SECRETS, { namespace, name }, body, {
    type: 'merge',
    fieldManager: FIELD_MANAGERS.commands,
    signal,
  });
}
