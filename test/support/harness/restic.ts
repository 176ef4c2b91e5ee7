/** restic as a person runs it: on repositories of the product, and as somebody else who uses them. */
import { cpSync, rmSync } from 'node:fs';
import type { CatalogueTags } from '../../../src/backup/catalogue.ts';
import { tagsOf } from '../../../src/backup/catalogue.ts';
import { type ExecResult, exec, run } from './exec.ts';
import { cheapen, giveOwnID } from './restic-key.ts';
import { makeDirectory, onEnd } from './run.ts';

function program(): string {
  const path = process.env['RESTIC_0_19'];
  if (path === undefined) throw new Error('RESTIC_0_19 is not set: the suite must name the tool in scripts/suites.ts');
  return path;
}

/** What the product does with a repository passes. */
const ALWAYS = ['--no-cache', '--retry-lock=2m'];

/** By password: restic takes two seconds of a core for a key, and all that is in a new repository besides is its ID. */
const templates = new Map<string, Promise<string>>();

async function makeTemplate(password: string): Promise<string> {
  const path = makeDirectory('restic-template');
  onEnd(() => rmSync(path, { recursive: true }));
  await new Restic(path, password).run('init');
  cheapen(path, password);
  return path;
}

export class Restic {
  readonly env: Readonly<Record<string, string>>;

  /** @param location What `restic -r` takes. */
  constructor(location: string, password: string, env: Readonly<Record<string, string>> = {}) {
    this.env = { RESTIC_REPOSITORY: location, RESTIC_PASSWORD: password, ...env };
  }

  run(...args: readonly string[]): Promise<string> {
    return run(program(), [...ALWAYS, ...args], { env: this.env });
  }

  tried(...args: readonly string[]): Promise<ExecResult> {
    return exec(program(), [...ALWAYS, ...args], { env: this.env });
  }

  /** Makes a repository in a directory, with a key that opens at once. */
  async makeCheap(): Promise<void> {
    const { RESTIC_REPOSITORY: path = '', RESTIC_PASSWORD: password = '' } = this.env;
    const template = templates.get(password) ?? makeTemplate(password);
    templates.set(password, template);
    cpSync(await template, path, { recursive: true });
    giveOwnID(path, password);
  }

  /** IDs of all snapshots. */
  async snapshots(...args: readonly string[]): Promise<readonly string[]> {
    const list = JSON.parse(await this.run('snapshots', '--json', ...args)) as readonly { readonly id: string }[];
    return list.map(({ id }) => id);
  }

  async locks(): Promise<readonly string[]> {
    return (await this.run('list', 'locks', '--no-lock')).split('\n').filter((line) => /^[0-9a-f]{64}$/.test(line));
  }

  /** The process that has a lock, as itself says; undefined when it is gone. */
  async pidOfLock(id: string): Promise<number | undefined> {
    const { code, stdout } = await this.tried('cat', 'lock', id, '--no-lock');
    return code === 0 ? (JSON.parse(stdout) as { readonly pid: number }).pid : undefined;
  }

  /** What the product would leave of a part of a backup. @param time `YYYY-MM-DD HH:MM:SS`. */
  async part(backupID: string, clusterID: string, content: string, time?: string): Promise<void> {
    const common = { backupID, clusterID, namespace: 'elsewhere', scope: 'Full', nodeName: 'n' } as const;
    await this.#add(tagsOf({ kind: 'volume', volumeName: 'data', ...common }), content, time);
  }

  /** What the product would leave of a whole backup of one volume. */
  async backup(backupName: string, clusterID: string, content: string): Promise<string> {
    const backupID = `${backupName}-01234567`;
    await this.part(backupID, clusterID, content);
    const tags: CatalogueTags = {
      kind: 'backup',
      backupID,
      clusterID,
      namespace: 'elsewhere',
      scope: 'Full',
      nodeName: 'n',
      backupName,
      isComplete: true,
      volumes: 1,
      objects: 0,
      bytes: content.length,
      dismissedBy: [],
    };
    await this.#add(tagsOf(tags), '{}');
    return backupID;
  }

  async #add(tags: Readonly<Record<string, string>>, content: string, time?: string): Promise<void> {
    const given = Object.entries(tags).flatMap(([key, value]) => ['--tag', `${key}=${value}`]);
    const at = time === undefined ? [] : ['--time', time];
    const args = [...ALWAYS, 'backup', '--stdin', '--stdin-filename', 'content', ...given, ...at];
    await run(program(), args, { env: this.env, input: content });
  }
}
