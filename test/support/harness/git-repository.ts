/** A Git repository on disk, as a team would keep its manifests in one. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from './exec.ts';

export class GitRepository {
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  static async init(directory: string): Promise<GitRepository> {
    mkdirSync(directory);
    const repository = new GitRepository(directory);
    await repository.#git('init', '--quiet', '--initial-branch=main');
    return repository;
  }

  /** Commits files, by their paths in the repository; `undefined` takes one away. Returns the commit's ID. */
  async commit(message: string, files: Readonly<Record<string, string | undefined>>): Promise<string> {
    for (const [path, text] of Object.entries(files)) {
      const file = join(this.directory, path);
      mkdirSync(dirname(file), { recursive: true });
      if (text === undefined) rmSync(file);
      else writeFileSync(file, text);
    }
    await this.#git('add', '--all');
    await this.#git('-c', 'user.name=test', '-c', 'user.email=test@example.com', 'commit', '--quiet', '-m', message);
    return this.head();
  }

  /** The ID of the newest commit. */
  async head(): Promise<string> {
    return (await this.#git('rev-parse', 'HEAD')).trim();
  }

  /** Writes what a commit has in it as a tar.gz file. */
  async archive(commit: string, file: string): Promise<void> {
    await this.#git('archive', '--format=tar.gz', `--output=${file}`, commit);
  }

  #git(...args: readonly string[]): Promise<string> {
    // Nothing of the person who runs the tests: no hooks, no signatures.
    const env = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' };
    return run('git', ['-C', this.directory, ...args], { env });
  }
}
