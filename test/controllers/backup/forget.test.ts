import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import type { BackupSpec } from '../../../src/api/backup.ts';
import { BackupError } from '../../../src/backup/backup-error.ts';
import { tagsOf } from '../../../src/backup/catalogue.ts';
import type { RepositoryAccess, SnapshotRecord } from '../../../src/backup/engine.ts';
import { Forgetter, type Forgotten } from '../../../src/controllers/backup/forget.ts';
import { backup } from '../backup-binding/backup-world.ts';

const ACCESS: RepositoryAccess = {
  location: { type: 'directory', directory: { own: { root: '/srv', path: 'kept' } } },
  password: 'hunter2',
  cacheDirectory: { root: '/var/lib/clawstore', path: 'cache' },
};
const { signal } = new AbortController();

/** A repository with a document and a part of each of some backups. */
class Kept {
  readonly calls: string[] = [];
  failure: BackupError | undefined;
  /** Called by the next run, which waits for it. */
  during: (() => void | Promise<void>) | undefined;
  stored: SnapshotRecord[];

  constructor(ids: readonly string[]) {
    const common = { clusterID: 'cluster', namespace: 'team', scope: 'Volumes', nodeName: 'a' } as const;
    const counts = { volumes: 1, objects: 0, bytes: 1, dismissedBy: [], isComplete: true };
    const nothing = { host: 'a', otherTags: [], paths: [], original: undefined, summary: undefined };
    const time = '2026-01-01T00:00:00Z';
    this.stored = ids.flatMap((backupID) => [
      {
        id: `part-${backupID}`,
        tags: tagsOf({ kind: 'volume', volumeName: 'one', backupID, ...common }),
        time,
        ...nothing,
      },
      {
        id: `doc-${backupID}`,
        tags: tagsOf({ kind: 'backup', backupName: 'b', backupID, ...counts, ...common }),
        time,
        ...nothing,
      },
    ]);
  }

  readonly engine = {
    snapshots: async (
      _access: RepositoryAccess,
      { tags = {} }: { readonly tags?: Readonly<Record<string, string>> },
    ) => {
      await this.#called('snapshots');
      return this.stored.filter((one) => Object.entries(tags).every(([key, value]) => one.tags[key] === value));
    },
    forget: async (_access: RepositoryAccess, ids: readonly string[]) => {
      await this.#called(`forget ${ids.join(' ')}`);
      this.stored = this.stored.filter(({ id }) => !ids.includes(id));
    },
    tag: async (_access: RepositoryAccess, ids: readonly string[]) => {
      await this.#called(`tag ${ids.join(' ')}`);
      return new Map<string, string>();
    },
  };

  async #called(what: string): Promise<void> {
    this.calls.push(what);
    const { during } = this;
    this.during = undefined;
    await during?.();
    if (this.failure !== undefined) throw this.failure;
  }
}

describe('deletions of several Backups in one repository', () => {
  let kept: Kept;
  let forgetter: Forgetter;
  beforeEach(() => {
    kept = new Kept(['1', '2', '3', '4']);
    forgetter = new Forgetter(kept.engine);
  });

  const forget = (id: string, spec: Partial<BackupSpec> = {}, until = signal, access = ACCESS): Promise<Forgotten> => {
    const one = backup(`b-${id}`, { deletionPolicy: 'Delete', ...spec }, { backupID: id, clusterID: 'cluster' });
    return forgetter.forget({ backup: one, clusterID: 'cluster', access }, until);
  };

  it('that come together are done by the same runs, the documents before all parts', async () => {
    const done = await Promise.all([forget('1'), forget('2'), forget('3', { deletionPolicy: 'Retain' })]);
    expect(done).to.deep.equal(['deleted', 'deleted', 'retained']);
    expect(kept.calls).to.deep.equal(['snapshots', 'forget doc-1 doc-2', 'forget part-1 part-2', 'tag doc-3']);
    expect(kept.stored.map(({ id }) => id)).to.deep.equal(['part-3', 'doc-3', 'part-4', 'doc-4']);
  });

  it('that come while others are done are done by the next runs, and never beside them', async () => {
    const late: Promise<Forgotten>[] = [];
    kept.during = () => void late.push(forget('2'), forget('3'));
    expect(await forget('1')).to.equal('deleted');
    expect(await Promise.all(late)).to.deep.equal(['deleted', 'deleted']);
    expect(kept.calls.slice(0, 3)).to.deep.equal(['snapshots', 'forget doc-1', 'forget part-1']);
    expect(kept.calls.slice(3)).to.deep.equal(['snapshots', 'forget doc-2 doc-3', 'forget part-2 part-3']);
  });

  it('are done apart for other repositories', async () => {
    await Promise.all([forget('1'), forget('2', {}, signal, { ...ACCESS, password: 'other' })]);
    expect(kept.calls.filter((call) => call === 'snapshots')).to.have.length(2);
  });

  it('fail together, and are done when they are asked for again', async () => {
    kept.failure = new BackupError('Locked', 'somebody works on it');
    const failed = await Promise.allSettled([forget('1'), forget('2')]);
    expect(failed.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected']);
    kept.failure = undefined;
    expect(await Promise.all([forget('1'), forget('2')])).to.deep.equal(['deleted', 'deleted']);
  });

  it('leave out what nobody waits for any more, and end with the last that did', async () => {
    const [one, two] = [new AbortController(), new AbortController()];
    const first = forget('1', {}, one.signal);
    one.abort();
    const second = forget('2', {}, two.signal);
    kept.during = () => two.abort();
    const ended = await Promise.allSettled([first, second]);
    expect(ended.map(({ status }) => status)).to.deep.equal(['rejected', 'rejected']);
    expect(kept.calls.join(), 'the first was never begun').not.to.include('doc-1');
    expect(await forget('3')).to.equal('deleted');
  });
});
