import { expect } from 'chai';
import { describe, it } from 'mocha';
import {
  type ConditionInput,
  deriveConditions,
  findCondition,
  isTrue,
  kstatus,
  lintStatus,
  MAX_MESSAGE_LENGTH,
  removeCondition,
  setCondition,
} from '../../src/api/conditions.ts';
import type { Condition, ConditionedStatus } from '../../src/api/meta.ts';
import { OUR_RESOURCES } from '../../src/api/meta.ts';
import { isReason, REASONS, Reason } from '../../src/api/reasons.ts';
import { CRDS } from './crd-files.ts';

const T1 = new Date('2026-01-01T00:00:00.123Z');
const T2 = new Date('2026-01-01T00:01:00Z');
const ready: ConditionInput = { type: 'Ready', status: 'True', reason: 'Ready', message: '' };
const notReady: ConditionInput = { type: 'Ready', status: 'False', reason: 'MountGone', message: 'the mount is gone' };
const stalled: ConditionInput = { type: 'Stalled', status: 'True', reason: 'InvalidSpec', message: 'bad' };
const reconciling: ConditionInput = { type: 'Reconciling', status: 'True', reason: 'Mounting', message: 'mounting' };

function object(conditions: readonly Condition[], rest: Partial<ConditionedStatus> & { deleting?: true } = {}) {
  const { deleting, ...status } = rest;
  return {
    apiVersion: 'v1',
    kind: 'Thing',
    metadata: { name: 'a', generation: 2, ...(deleting ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}) },
    status: { observedGeneration: 2, conditions, ...status },
  };
}

const derive = (...inputs: readonly ConditionInput[]) => deriveConditions(undefined, inputs, 2, T1);

describe('setting a condition', () => {
  it('adds it with the time in whole seconds and the generation', () => {
    expect(setCondition(undefined, ready, 3, T1)).to.deep.equal([
      {
        type: 'Ready',
        status: 'True',
        reason: 'Ready',
        message: '',
        lastTransitionTime: '2026-01-01T00:00:00Z',
        observedGeneration: 3,
      },
    ]);
  });

  it('keeps the transition time while the status stays', () => {
    const list = setCondition(setCondition(undefined, ready, 1, T1), { ...ready, reason: 'Adopted' }, 2, T2);
    expect(findCondition(list, 'Ready')).to.include({ reason: 'Adopted', lastTransitionTime: '2026-01-01T00:00:00Z' });
  });

  it('moves the transition time when the status changes', () => {
    const list = setCondition(setCondition(undefined, ready, 1, T1), notReady, 1, T2);
    expect(findCondition(list, 'Ready')?.lastTransitionTime).to.equal('2026-01-01T00:01:00Z');
  });

  it('returns the same list when nothing changes, and never changes the one it got', () => {
    const list = setCondition(setCondition(undefined, ready, 1, T1), stalled, 1, T1);
    const copy = structuredClone(list);
    expect(setCondition(list, ready, 1, T2)).to.equal(list);
    setCondition(list, notReady, 2, T2);
    expect(list).to.deep.equal(copy);
  });

  it('clips a message that no server would take', () => {
    const [condition] = setCondition(undefined, { ...ready, message: 'x'.repeat(MAX_MESSAGE_LENGTH + 1) }, 1, T1);
    expect(condition?.message.length).to.equal(MAX_MESSAGE_LENGTH);
  });
});

describe('removing a condition', () => {
  it('leaves the others, and returns the same list when it is not there', () => {
    const list = derive(ready, reconciling);
    expect(removeCondition(list, 'Reconciling').map(({ type }) => type)).to.deep.equal(['Ready']);
    expect(removeCondition(list, 'Stalled')).to.equal(list);
  });
});

describe('deriving all conditions', () => {
  it('drops those that no longer hold and carries times over', () => {
    const before = derive(notReady, stalled);
    const after = deriveConditions(before, [{ ...notReady, reason: 'Mounting' }, reconciling], 3, T2);
    expect(after.map(({ type, lastTransitionTime }) => [type, lastTransitionTime])).to.deep.equal([
      ['Ready', '2026-01-01T00:00:00Z'],
      ['Reconciling', '2026-01-01T00:01:00Z'],
    ]);
  });

  it('returns the previous list when nothing differs', () => {
    const before = derive(notReady, stalled);
    expect(deriveConditions(before, [notReady, stalled], 2, T2)).to.equal(before);
    expect(deriveConditions(before, [notReady], 2, T2)).not.to.equal(before);
  });
});

describe('kstatus', () => {
  const cases: readonly (readonly [string, object: Parameters<typeof kstatus>[0], wanted: string])[] = [
    ['Current when Ready', object(derive(ready)), 'Current'],
    ['InProgress while reconciling', object(derive(notReady, reconciling)), 'InProgress'],
    ['Failed when stalled', object(derive(notReady, stalled)), 'Failed'],
    ['InProgress when not ready and nothing else is said', object(derive(notReady)), 'InProgress'],
    ['InProgress when the generation was not seen', object(derive(ready), { observedGeneration: 1 }), 'InProgress'],
    ['InProgress at observedGeneration -1', object([], { observedGeneration: -1 }), 'InProgress'],
    ['Terminating when being deleted', object(derive(ready), { deleting: true }), 'Terminating'],
    [
      'InProgress when Ready is unknown',
      object(derive({ ...notReady, status: 'Unknown', reason: 'NodeLost' })),
      'InProgress',
    ],
  ];
  for (const [name, thing, wanted] of cases) {
    it(`is ${name}`, () => expect(kstatus(thing)).to.equal(wanted));
  }
});

describe('the status linter', () => {
  it('is content with what the helpers make', () => {
    for (const inputs of [[ready], [notReady, stalled], [notReady, reconciling], []]) {
      expect(lintStatus(object(derive(...inputs)))).to.deep.equal([]);
    }
    expect(lintStatus(object([], { observedGeneration: -1 }))).to.deep.equal([]);
    expect(lintStatus({ apiVersion: 'v1', kind: 'Thing', metadata: { name: 'a' } })).to.deep.equal([]);
  });

  const [base] = derive(notReady);
  if (base === undefined) throw new Error('no condition was derived');
  const cases: readonly (readonly [string, Parameters<typeof lintStatus>[0], problem: string])[] = [
    ['Stalled with Ready=True', object(derive(ready, stalled)), 'Stalled needs Ready=False'],
    [
      'Stalled with Ready=Unknown',
      object(derive({ ...notReady, status: 'Unknown' }, stalled)),
      'Stalled needs Ready=False',
    ],
    ['Stalled with Reconciling', object(derive(notReady, stalled, reconciling)), 'are both there'],
    ['Reconciling with Ready=True', object(derive(ready, reconciling)), 'Reconciling excludes Ready=True'],
    ['Stalled=False', object(derive(ready, { ...stalled, status: 'False' })), 'must be absent when false'],
    ['no Ready', object(derive(reconciling)), 'Ready is missing'],
    ['the same type twice', object([base, base]), 'Ready is there twice'],
    ['an unknown reason', object([{ ...base, reason: 'Oops' }]), 'unknown reason "Oops"'],
    ['a failure without a message', object([{ ...base, message: '' }]), 'has no message'],
    [
      'a time with fractions',
      object([{ ...base, lastTransitionTime: T1.toISOString() }]),
      'has the lastTransitionTime',
    ],
    [
      'conditions at observedGeneration -1',
      object(derive(ready), { observedGeneration: -1 }),
      'observedGeneration is not set',
    ],
    ['an observedGeneration from the future', object(derive(ready), { observedGeneration: 3 }), 'ahead of generation'],
    ['a condition from the future', object([{ ...base, observedGeneration: 3 }]), 'was derived from generation 3'],
    ['Ready newer than the status', object(derive(ready), { observedGeneration: 1 }), 'the status says 1'],
  ];
  for (const [name, thing, problem] of cases) {
    it(`objects to ${name}`, () => expect(lintStatus(thing).join('; ')).to.include(problem));
  }
});

describe('reasons', () => {
  it('are PascalCase, explained, and named by their own constant', () => {
    for (const [name, text] of Object.entries(REASONS)) {
      expect(name).to.match(/^[A-Z][a-z0-9]+(?:[A-Z][a-z0-9]+)*$/);
      expect(text, name).to.match(/^[A-Z].*\.$/);
      expect(Reason[name as Reason]).to.equal(name);
    }
    expect(isReason('toString')).to.equal(false);
  });

  it('fit what every CRD allows', () => {
    expect([...CRDS.keys()]).to.have.members(OUR_RESOURCES.map(({ kind }) => kind));
    expect(Math.max(...Object.keys(REASONS).map((name) => name.length))).to.be.at.most(1024);
    expect(isTrue(derive(ready), 'Ready')).to.equal(true);
  });
});
