/** `clawstore repository list|export-key|add`, for people. */
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { BACKUP_REPOSITORIES } from '../api/meta.ts';
import { type AddedRepository, repositoryAdd } from '../commands/repository/add.ts';
import type { ExportedKey } from '../commands/repository/export-key.ts';
import { repositoryExportKey } from '../commands/repository/export-key.ts';
import type { ListedRepository } from '../commands/repository/list.ts';
import { answerGiven, type Given } from './answer-command.ts';
import type { Asked } from './client-options.ts';
import { CliError, ExitCode } from './exit-code.ts';
import { type OutputFormat, render, type TableView, type View } from './output.ts';
import { humanBytes } from './units.ts';
import { parse } from './yaml.ts';

export const REPOSITORY_LIST: TableView<ListedRepository> = {
  resource: BACKUP_REPOSITORIES,
  nameOf: ({ name }) => name,
  columns: [
    { heading: 'name', cell: ({ name }) => name },
    { heading: 'url', cell: ({ url }) => url },
    { heading: 'ready', cell: ({ ready }) => ready },
    { heading: 'key exported', cell: ({ keyExported }) => keyExported },
    { heading: 'backups', cell: ({ backups }) => backups },
    { heading: 'size', cell: ({ sizeBytes }) => humanBytes(sizeBytes) },
    { heading: 'last check', wide: true, cell: ({ last_check }) => last_check },
    { heading: 'message', cell: ({ message }) => message?.replaceAll(/\s+/g, ' ') },
  ],
};

const ADDED: View<AddedRepository, AddedRepository> = {
  resource: BACKUP_REPOSITORIES,
  rows: (result) => [result],
  nameOf: ({ repository }) => repository,
  columns: [
    { heading: 'name', cell: ({ repository }) => repository },
    { heading: 'url', cell: ({ url }) => url },
    { heading: 'backups', cell: ({ backups }) => backups },
  ],
};

/** @param file Where the key goes, which must not exist yet; undefined: standard output. */
export function exportKey(name: string | undefined, file: string | undefined, answer: Asked): Promise<ExitCode> {
  const keep = async (key: ExportedKey): Promise<void> => {
    const text = await textOf(key, answer.format);
    if (file === undefined) return print(text);
    writeNew(file, text);
    process.stderr.write(
      `The key of repository "${key.repository}" is in ${file}; keep it somewhere else than here.\n`,
    );
  };
  return answerGiven(repositoryExportKey(keep), { name }, answer);
}

/** @param keyFile What `export-key` wrote, or the key alone; `-` reads standard input. */
export function addRepository(given: Given, keyFile: string, answer: Asked): Promise<ExitCode> {
  return answerGiven(repositoryAdd, { ...given, password: readKey(keyFile) }, answer, ADDED);
}

/** The key in words that it can be read from again. */
async function textOf({ repository, url, password }: ExportedKey, format: OutputFormat): Promise<string> {
  if (format === 'json') return render({ repository, url, password }, format);
  const hint = 'Whoever has this can read all backups in the repository; whoever loses it has lost them.';
  return `# ${hint}\n${await render({ repository, url, password }, 'yaml')}`;
}

function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

function writeNew(file: string, text: string): void {
  try {
    const fd = openSync(file, 'wx', 0o600);
    try {
      writeSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
    const why = code === 'EEXIST' ? 'it exists already; name a new file' : code;
    throw new CliError(ExitCode.failed, `--file: ${file} cannot be written: ${why}`, { cause });
  }
}

function readKey(file: string): string {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code ?? String(cause);
    throw new CliError(ExitCode.usage, `--key-file: ${file} cannot be read: ${code}`, { cause });
  }
  const key = keyIn(text);
  if (key === '') throw new CliError(ExitCode.usage, `--key-file: ${file} has no key in it`);
  return key;
}

function keyIn(text: string): string {
  try {
    const { password } = (parse(text) ?? {}) as { readonly password?: unknown };
    if (typeof password === 'string') return password.trim();
  } catch {
    // Then it is the key itself.
  }
  return text.trim();
}
