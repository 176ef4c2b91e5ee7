import { expect } from 'chai';
import { describe, it } from 'mocha';
import { isEngineProcess, judgeLock, lockHolder } from '../../../src/controllers/support/lock-holder.ts';

const NOW = Date.parse('2026-01-01T12:00:00Z');
const self = { identity: 'n1_a', nodeName: 'n1', bootID: 'boot-1' };
const own = lockHolder(self);
/** This boot began two hours ago. */
const judge = (isAlive: boolean) => ({ self: own, now: NOW, bootedAt: NOW - 120 * 60_000, isEngine: () => isAlive });
const judged = (holder: string, minutesOld: number, isAlive = false) =>
  judgeLock({ holder, pid: 42, time: new Date(NOW - minutesOld * 60_000).toISOString() }, judge(isAlive));

describe('the holder of a lock', () => {
  it('is a name that the engine takes as that of a machine', () => {
    expect(lockHolder({ ...self, nodeName: 'a'.repeat(63) })).to.have.length.at.most(55);
    expect(own).to.match(/^clawstore-n1-/);
  });

  it('is proven gone by its process or its boot, and by nothing else', () => {
    expect(judged(own, 0, true), 'it runs').to.equal('held');
    expect(judged(own, 600, true), 'it runs, however old').to.equal('held');
    expect(judged(own, 0, false), 'its process has ended').to.equal('gone');
    expect(judged(lockHolder({ ...self, bootID: 'boot-0' }), 121, true), 'of an earlier boot').to.equal('gone');
  });

  it('is not gone with another boot that has renewed it since this one began: a copy of the machine runs', () => {
    const copy = lockHolder({ ...self, bootID: 'boot-of-copy' });
    expect(judged(copy, 0), 'it holds it').to.equal('held');
    expect(judged(copy, 29), 'it may').to.equal('held');
    expect(judged(copy, 31), 'it would have renewed it').to.equal('gone');
    expect(judged(copy, -31), 'dated by a clock that was wrong').to.equal('stale');
  });

  it('of others is never proven gone', () => {
    const other = lockHolder({ ...self, identity: 'n2_b' });
    expect(judged(other, 10)).to.equal('held');
    expect(judged(other, 31)).to.equal('stale');
    expect(judged('workstation', 10)).to.equal('held');
    expect(judged('workstation', 6000)).to.equal('stale');
    expect(judged('clawstore-n1', 6000)).to.equal('stale');
    expect(judgeLock({ holder: '', pid: 0, time: '' }, judge(false)), 'cannot be read').to.equal('stale');
  });

  it('is no process that only has its ID', () => {
    expect(isEngineProcess(process.pid)).to.equal(false);
    expect(isEngineProcess(2 ** 22 + 1)).to.equal(false);
  });
});
