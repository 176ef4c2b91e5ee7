/** What the files of a repository are called, without an engine and what it takes to run one. */
import { readdir } from 'node:fs/promises';
import type { HelperContext } from '../helper/context.ts';
import { Fd } from '../helper/fd.ts';
import { O_DIRECTORY, O_PATH, RESOLVE_NO_SYMLINKS } from '../helper/libc.ts';
import { components } from '../helper/paths.ts';
import { openSource } from '../trees/directories.ts';
import type { BackupOperations } from './operations.ts';

/** See {@link BackupOperations}. */
export async function fileNames(
  context: HelperContext,
  { source, folders }: BackupOperations['fileNames']['params'],
): Promise<readonly string[]> {
  for (const folder of folders) components(folder);
  using top = openSource(context, source);
  const names = [...(await filesIn(top.fd))];
  for (const folder of folders) {
    const number = context.libc.openat2IfExists(top.fd.number, folder, O_PATH | O_DIRECTORY, RESOLVE_NO_SYMLINKS);
    if (number < 0) continue;
    using inner = new Fd(context.libc, number);
    for (const name of await filesIn(inner)) names.push(`${folder}/${name}`);
  }
  return names;
}

async function filesIn({ procPath }: Fd): Promise<readonly string[]> {
  const entries = await readdir(procPath, { withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
}
