import { expect } from 'chai';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { ApplyError, applyPatch, type JsonObject } from '../../../src/apiserver/apply/index.ts';
import { Random, randomObject } from './support/generate.ts';
import { API_VERSION, KIND, SAMPLE_SCHEMA } from './support/kind.ts';

const options = {
  schema: SAMPLE_SCHEMA,
  apiVersion: API_VERSION,
  kind: KIND,
  force: true,
  time: new Date('2026-01-01T00:00:00Z'),
};

const later = new Date('2027-01-01T00:00:00Z');
const config = fc.integer().map((seed) => randomObject(new Random(seed), 0.4, 0));
const live = fc.array(fc.tuple(fc.constantFrom('one', 'two', 'three'), config), { maxLength: 4 }).map((steps) => {
  let object: JsonObject | null = null;
  for (const [manager, given] of steps)
    object = applyPatch({ ...options, live: object, config: given, manager }).object;
  return object;
});
const nothing: JsonObject = { apiVersion: API_VERSION, kind: KIND, metadata: { name: 'x', namespace: 'default' } };

function managers(object: JsonObject): unknown[] {
  const entries = ((object.metadata as JsonObject).managedFields ?? []) as readonly JsonObject[];
  return entries.map(({ manager }) => manager);
}

/**
 * The object without the record of ownership and without empty containers: as in structured-merge-diff, nobody owns an
 * empty list whose items are owned one by one, so it stays.
 */
function content(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? null : value.map(content);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value)
    .filter(([key]) => key !== 'managedFields')
    .map(([key, item]) => [key, content(item)] as const)
    .filter(([, item]) => item !== null);
  return kept.length === 0 ? null : Object.fromEntries(kept);
}

describe('apply: properties', () => {
  it('is idempotent: the second time nothing changes', () => {
    fc.assert(
      fc.property(live, config, (before, given) => {
        const first = applyPatch({ ...options, live: before, config: given, manager: 'four' });
        const second = applyPatch({
          ...options,
          live: first.object,
          config: given,
          manager: 'four',
          force: false,
          time: later,
        });
        expect(second.changed).to.equal(false);
        expect(second.object).to.equal(first.object);
      }),
    );
  });

  it('of nothing afterwards removes all that was owned alone', () => {
    fc.assert(
      fc.property(config, (given) => {
        const first = applyPatch({ ...options, live: nothing, config: given, manager: 'four' });
        const { object } = applyPatch({ ...options, live: first.object, config: nothing, manager: 'four' });
        expect(content(object)).to.deep.equal(content(nothing));
        expect(managers(object)).not.to.include('four');
      }),
    );
  });

  it('has no conflict with what is already so', () => {
    fc.assert(
      fc.property(live, (before) => {
        if (before === null) return;
        const { metadata, ...rest } = before;
        const { managedFields: _, ...kept } = metadata as JsonObject;
        const same = { ...rest, metadata: kept };
        const { object } = applyPatch({ ...options, live: before, config: same, manager: 'four', force: false });
        expect(content(object)).to.deep.equal(content(before));
      }),
    );
  });

  it('without force either succeeds like with force or conflicts, and then force takes all named fields', () => {
    fc.assert(
      fc.property(live, config, (before, given) => {
        const forced = applyPatch({ ...options, live: before, config: given, manager: 'four' });
        let polite: JsonObject;
        try {
          polite = applyPatch({ ...options, live: before, config: given, manager: 'four', force: false }).object;
        } catch (error) {
          expect(error).to.be.instanceOf(ApplyError);
          const conflicts = (error as ApplyError).conflicts;
          expect(conflicts).not.to.have.length(0);
          const again = applyPatch({ ...options, live: forced.object, config: given, manager: 'four', force: false });
          expect(again.changed).to.equal(false);
          return;
        }
        expect(polite).to.deep.equal(forced.object);
      }),
    );
  });
});
