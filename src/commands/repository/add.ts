import type { BackupRepository, BackupRepositorySpec } from '../../api/backup-repository.ts';
import { PASSWORD_KEY } from '../../api/backup-repository.ts';
import type { Secret } from '../../api/core.ts';
import { API_VERSION, FIELD_MANAGERS, LABELS } from '../../api/group.ts';
import { BACKUP_REPOSITORIES, SECRETS } from '../../api/meta.ts';
import { parseDestination } from '../../api/repository-url.ts';
import type { Command, CommandContext } from '../command.ts';
import { CommandError } from '../command-error.ts';
import { fromKube, readyOrStalled, waitFor } from '../wait.ts';

interface Params {
  readonly name: string;
  readonly url: string;
  readonly password: string;
  readonly readOnly: boolean;
  readonly credentials?: string;
  readonly node?: string;
}

export interface AddedRepository {
  readonly repository: string;
  readonly url: string;
  readonly backups: number;
}

/**
 * `clawstore repository add`: what a recovery begins with. The URL is that of one repository, as `export-key` gave it out.
 * Nothing is ever made there, whatever the URL: it is opened read only first, and may be written to once it was seen.
 */
export const repositoryAdd: Command<Params, AddedRepository> = {
  name: 'repository add',
  summary: 'Open a repository of backups by its URL and key.',
  parameters: {
    required: ['name', 'url', 'password'],
    properties: {
      name: { type: 'string', description: 'Name of the BackupRepository.', minLength: 1, maxLength: 63 },
      url: { type: 'string', description: 'As export-key gave it out.', minLength: 1 },
      password: { type: 'string', description: 'The key.', minLength: 1 },
      readOnly: { type: 'boolean', description: 'Write nothing to it.', default: false },
      credentials: { type: 'string', description: 'Secret with the credentials of the S3 server.', minLength: 1 },
      node: { type: 'string', description: 'Node of the directory; this one without it.', minLength: 1 },
    },
  },
  async run(params, context) {
    const { name } = params;
    const { client, namespace, signal, timeoutMs } = context;
    const spec = specOf(params, context);
    try {
      await make(params, spec, context);
      const ref = { namespace, name };
      const open = () =>
        waitFor<BackupRepository, BackupRepository>(
          client,
          BACKUP_REPOSITORIES,
          ref,
          (object) => {
            const found = readyOrStalled(object);
            return found?.status?.lastSyncTime === undefined ? undefined : found;
          },
          { signal, timeoutMs },
        );
      let ready = await open();
      if (!params.readOnly && ready.spec.accessMode === 'ReadOnly') {
        const body = { metadata: { uid: ready.metadata.uid }, spec: { accessMode: null } };
        const options = { type: 'merge', fieldManager: FIELD_MANAGERS.commands, signal } as const;
        await client.patch(BACKUP_REPOSITORIES, ref, body, options);
        ready = await open();
      }
      return { repository: name, url: ready.status?.url ?? '', backups: ready.status?.backupCount ?? 0 };
    } catch (thrown) {
      if (thrown instanceof CommandError) throw thrown;
      throw fromKube(thrown);
    }
  },
};

function specOf({ name, url, credentials, node }: Params, context: CommandContext): BackupRepositorySpec {
  const destination = parseDestination(url);
  if (!destination.ok) throw new CommandError('InvalidParameter', `url: ${destination.problem}`, { field: 'url' });
  const { s3, hostPath, nfs } = destination.source;
  if (credentials !== undefined && s3 === undefined) {
    throw new CommandError('InvalidParameter', 'credentials: they are for S3 servers', { field: 'credentials' });
  }
  const nodeName = node ?? (hostPath === undefined ? undefined : context.nodeName);
  return {
    ...(hostPath === undefined ? {} : { hostPath }),
    ...(nfs === undefined ? {} : { nfs }),
    ...(s3 === undefined
      ? {}
      : { s3: { ...s3, ...(credentials === undefined ? {} : { credentialsSecretRef: { name: credentials } }) } }),
    ...(nodeName === undefined ? {} : { nodeName }),
    encryption: { secretRef: { name: keyName(name) } },
    accessMode: 'ReadOnly',
  };
}

function keyName(repository: string): string {
  return `${repository}-key`;
}

/** The key first, so that the repository never waits for it. The same again changes nothing. */
async function make(
  { name, url, password }: Params,
  spec: BackupRepositorySpec,
  { client, namespace, signal }: CommandContext,
): Promise<void> {
  const options = { fieldManager: FIELD_MANAGERS.commands, signal };
  const labels = { [LABELS.repository]: name };
  const secret: Secret = {
    apiVersion: 'v1',
    kind: SECRETS.kind,
    // Not managed by us: who brought the key keeps it.
    metadata: { name: keyName(name), namespace, labels },
    type: 'Opaque',
    stringData: { [PASSWORD_KEY]: password },
  };
  const present = await client.create(SECRETS, secret, options).catch(async (thrown: unknown) => {
    if (fromKube(thrown).code !== 'AlreadyExists') throw thrown;
    return client.get<Secret>(SECRETS, { namespace, name: keyName(name) }, { signal });
  });
  const there = Buffer.from(present.data?.[PASSWORD_KEY] ?? '', 'base64').toString('utf8');
  if (there.trim() !== password.trim()) {
    const message = `Secret "${keyName(name)}" exists with another key; choose another name`;
    throw new CommandError('AlreadyExists', message, { field: 'name' });
  }
  const repository: BackupRepository = {
    apiVersion: API_VERSION,
    kind: BACKUP_REPOSITORIES.kind,
    metadata: { name, namespace },
    spec,
  };
  await client.create(BACKUP_REPOSITORIES, repository, options).catch(async (thrown: unknown) => {
    if (fromKube(thrown).code !== 'AlreadyExists') throw thrown;
    const other = await client.get<BackupRepository>(BACKUP_REPOSITORIES, { namespace, name }, { signal });
    if (other.status?.url === url) return other;
    throw new CommandError('AlreadyExists', `BackupRepository "${name}" exists already; choose another name`, {
      field: 'name',
    });
  });
}
