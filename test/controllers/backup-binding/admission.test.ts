import { expect } from 'chai';
import { describe, it } from 'mocha';
import type { VolumeBackup } from '../../../src/api/backup.ts';
import { API_VERSION } from '../../../src/api/group.ts';
import type { Contender } from '../../../src/controllers/backup-binding/admission.ts';
import { admit } from '../../../src/controllers/backup-binding/admission.ts';

function contender(name: string, changes: Partial<Contender> & { priority?: number; runs?: boolean } = {}): Contender {
  const { priority = 0, runs = false, ...rest } = changes;
  const part = {
    apiVersion: API_VERSION,
    kind: 'VolumeBackup',
    metadata: { name, namespace: 'team', creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { priority },
    ...(runs ? { status: { nodeName: 'a' } } : {}),
  } as unknown as VolumeBackup;
  return { part, nodeName: 'a', repository: 'team/r', backup: 'b', parallelism: undefined, ...rest };
}

const names = (admitted: readonly Contender[]): readonly string[] => admitted.map(({ part }) => part.metadata.name);
const ROOM = { perNode: 2, perRepository: 3 };

describe('the turns of parts', () => {
  it('are so many at once on a node and into a repository', () => {
    const all = ['1', '2', '3'].map((name) => contender(name));
    expect(names(admit(all, ROOM))).to.deep.equal(['1', '2']);
    expect(names(admit([contender('0', { runs: true }), ...all], ROOM))).to.deep.equal(['1']);
    const elsewhere = ['4', '5'].map((name) => contender(name, { nodeName: 'b' }));
    expect(names(admit([...all, ...elsewhere], ROOM))).to.deep.equal(['1', '2', '4']);
  });

  it('go to the higher priority first, and pass by what has no room', () => {
    const low = contender('1', { priority: -5 });
    const high = contender('9', { priority: 5 });
    const full = contender('5', { priority: 9, backup: 'other', parallelism: 0 });
    expect(names(admit([low, high, full], ROOM))).to.deep.equal(['9', '1']);
  });

  it('are none of those that run already, and no more of a Backup than its parallelism', () => {
    const runs = contender('1', { runs: true, parallelism: 1 });
    expect(names(admit([runs, contender('2', { parallelism: 1 })], ROOM))).to.deep.equal([]);
  });
});
