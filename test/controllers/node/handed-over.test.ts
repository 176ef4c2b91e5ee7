import { expect } from 'chai';
import { beforeEach, describe, it } from 'mocha';
import type { KubeObjectBase } from '../../../src/api/meta.ts';
import { type AskElsewhere, askElsewhere } from '../../../src/controllers/node/handed-over.ts';
import { KubeError } from '../../../src/kube/errors.ts';

const signal = new AbortController().signal;

describe('what a node has made for volumes that its caches do not show', () => {
  /** By name: the UID of the volume, or what the API server says in its place. */
  let answers: Record<string, string | KubeError>;
  let asked: string[];
  let ask: AskElsewhere;

  beforeEach(() => {
    answers = {};
    asked = [];
    const get = <T extends KubeObjectBase>(_: unknown, { namespace, name }: { namespace?: string; name: string }) => {
      asked.push(`${namespace}/${name}`);
      const answer = answers[name] ?? failed('NotFound', 404);
      if (answer instanceof KubeError) return Promise.reject(answer);
      return Promise.resolve({ metadata: { name, uid: answer } } as unknown as T);
    };
    ask = askElsewhere({ get });
  });

  const failed = (reason: string, status: number) => new KubeError({ reason, status, message: reason });
  /** Asks about volumes with the UIDs `uid-NAME`. */
  const there = async (...names: readonly string[]) => {
    const made = names.map((name) => ({
      volumeUID: `uid-${name}`,
      volume: { namespace: 'team', name },
      path: '/',
      bytes: undefined,
    }));
    return [...(await ask(made, signal))];
  };

  it('are no orphans when another node has them, whether or not this one may read them', async () => {
    answers = { read: 'uid-read', hidden: failed('Forbidden', 403), again: 'uid-of-another' };
    expect(await there('read', 'hidden', 'again', 'gone')).to.deep.equal(['uid-read', 'uid-hidden']);
  });

  it('are asked for once when they are gone, and each time while they are there', async () => {
    answers = { read: 'uid-read' };
    await there('read', 'gone');
    await there('read', 'gone');
    expect(asked).to.deep.equal(['team/read', 'team/gone', 'team/read']);
  });

  it('are not called gone by nobody: one that is not answered ends the asking', async () => {
    answers = { first: failed('ConnectionRefused', 0) };
    expect(await there('first', 'gone')).to.deep.equal(['uid-first', 'uid-gone']);
    expect(asked).to.deep.equal(['team/first']);
    answers = {};
    expect(await there('first', 'gone')).to.deep.equal([]);
  });

  it('are not asked for where only the UID is known', async () => {
    expect([...(await ask([{ volumeUID: 'u', path: '/', bytes: undefined }], signal))]).to.deep.equal([]);
    expect(asked).to.deep.equal([]);
  });
});
