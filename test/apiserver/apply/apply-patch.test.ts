import { expect } from 'chai';
import { describe, it } from 'mocha';
import { ApplyError, type ApplyOptions, applyPatch, type JsonObject } from '../../../src/apiserver/apply/index.ts';
import { API_VERSION, KIND, SAMPLE_SCHEMA } from './support/kind.ts';

const T1 = new Date('2026-01-01T00:00:00Z');
const T2 = new Date('2026-01-02T00:00:00.900Z');

function config(spec: unknown, metadata: JsonObject = {}): JsonObject {
  return { apiVersion: API_VERSION, kind: KIND, metadata: { name: 'x', namespace: 'default', ...metadata }, spec };
}

function apply(live: JsonObject | null, manager: string, given: JsonObject, more: Partial<ApplyOptions> = {}) {
  const options = { schema: SAMPLE_SCHEMA, apiVersion: API_VERSION, kind: KIND, time: T1, force: false };
  return applyPatch({ ...options, live, manager, config: given, ...more });
}

function refused(action: () => unknown): ApplyError {
  try {
    action();
  } catch (error) {
    if (error instanceof ApplyError) return error;
    throw error;
  }
  throw new Error('it was not refused');
}

function managedFields(object: JsonObject): readonly JsonObject[] {
  return ((object.metadata as JsonObject).managedFields ?? []) as readonly JsonObject[];
}

function ownedBy(object: JsonObject, manager: string): unknown {
  return managedFields(object).find((entry) => entry.manager === manager)?.fieldsV1;
}

/** An object on which each named manager has applied its spec, in order and without conflicts. */
function applied(...steps: readonly (readonly [string, unknown])[]): JsonObject {
  let live: JsonObject | null = null;
  for (const [manager, spec] of steps) live = apply(live, manager, config(spec)).object;
  if (live === null) throw new Error('nothing was applied');
  return live;
}

describe('apply: a new object', () => {
  it('is the configuration with an entry for the applier', () => {
    const { object, changed } = apply(null, 'kubectl', config({ capacity: '1Gi', tags: ['b', 'a'] }));
    expect(changed).to.equal(true);
    expect(object).to.deep.equal({
      ...config({ capacity: '1Gi', tags: ['b', 'a'] }),
      metadata: {
        name: 'x',
        namespace: 'default',
        managedFields: [
          {
            manager: 'kubectl',
            operation: 'Apply',
            apiVersion: API_VERSION,
            time: '2026-01-01T00:00:00Z',
            fieldsType: 'FieldsV1',
            fieldsV1: { 'f:spec': { 'f:capacity': {}, 'f:tags': { 'v:"a"': {}, 'v:"b"': {} } } },
          },
        ],
      },
    });
  });

  it('owns labels, annotations, finalizers and owner references, but not its name', () => {
    const metadata = {
      labels: { a: '1' },
      finalizers: ['f/x'],
      ownerReferences: [{ apiVersion: 'v1', kind: 'A', name: 'a', uid: 'u' }],
    };
    const { object } = apply(null, 'm', config({}, metadata));
    expect(ownedBy(object, 'm')).to.deep.equal({
      'f:metadata': {
        'f:finalizers': { 'v:"f/x"': {} },
        'f:labels': { 'f:a': {} },
        'f:ownerReferences': { 'k:{"uid":"u"}': {} },
      },
      'f:spec': {},
    });
  });
});

/** Merging: what is there, what another manager applies, what comes out. */
const MERGES: readonly (readonly [string, unknown, unknown, unknown])[] = [
  ['fields of structs side by side', { capacity: '1' }, { count: 2 }, { capacity: '1', count: 2 }],
  ['keys of maps side by side', { selector: { a: '1' } }, { selector: { b: '2' } }, { selector: { a: '1', b: '2' } }],
  [
    'items of keyed lists by key',
    { items: [{ name: 'a', size: 1 }] },
    { items: [{ name: 'b' }] },
    { items: [{ name: 'a', size: 1 }, { name: 'b' }] },
  ],
  [
    'fields within an item',
    { items: [{ name: 'a', size: 1 }] },
    { items: [{ name: 'a', labels: { x: 'y' } }] },
    { items: [{ name: 'a', size: 1, labels: { x: 'y' } }] },
  ],
  [
    'lists in the applied order',
    { items: [{ name: 'a' }, { name: 'b' }] },
    { items: [{ name: 'b' }, { name: 'a' }] },
    { items: [{ name: 'b' }, { name: 'a' }] },
  ],
  ['items of others where they are', { tags: ['a', 'x', 'b'] }, { tags: ['b', 'a'] }, { tags: ['x', 'b', 'a'] }],
  ['sets as unions', { tags: ['a'] }, { tags: ['b'] }, { tags: ['a', 'b'] }],
  [
    'default keys with what is written out',
    { ports: [{ port: 80, protocol: 'TCP' }] },
    { ports: [{ port: 80, name: 'web' }] },
    { ports: [{ port: 80, protocol: 'TCP', name: 'web' }] },
  ],
  [
    'different keys apart',
    { ports: [{ port: 80, protocol: 'UDP' }] },
    { ports: [{ port: 80 }] },
    { ports: [{ port: 80, protocol: 'UDP' }, { port: 80 }] },
  ],
  ['free-form objects by key', { free: { a: { b: 1 } } }, { free: { a: { c: 2 } } }, { free: { a: { b: 1, c: 2 } } }],
  ['nothing from an empty list', { tags: ['a'] }, { tags: [] }, { tags: ['a'] }],
];

describe('apply: merging', () => {
  for (const [name, before, given, after] of MERGES) {
    it(`keeps ${name}`, () => {
      const live = applied(['one', before]);
      expect(apply(live, 'two', config(given)).object.spec).to.deep.equal(after);
    });
  }

  it('replaces atomic lists and maps as a whole', () => {
    const live = applied(['one', { args: ['a'], limits: { cpu: '1', memory: '2' } }]);
    const { object } = apply(live, 'one', config({ args: ['b', 'c'], limits: { cpu: '3' } }));
    expect(object.spec).to.deep.equal({ args: ['b', 'c'], limits: { cpu: '3' } });
  });

  it('shares with the live object what it does not change', () => {
    const live = applied(['one', { items: [{ name: 'a' }], free: { x: 1 } }]);
    const { object } = apply(live, 'two', config({ count: 1 }));
    expect((object.spec as JsonObject).items).to.equal((live.spec as JsonObject).items);
  });
});

/** Removal: what is applied first, what another owns, what is applied then, what comes out. */
const REMOVALS: readonly (readonly [string, unknown, unknown, unknown, unknown])[] = [
  ['removes a field that is no longer applied', { capacity: '1', count: 1 }, {}, { count: 1 }, { count: 1 }],
  [
    'removes keys, items and members',
    { selector: { a: '1', b: '2' }, items: [{ name: 'a' }, { name: 'b' }], tags: ['a', 'b'] },
    {},
    { selector: { b: '2' }, items: [{ name: 'b' }], tags: ['b'] },
    { selector: { b: '2' }, items: [{ name: 'b' }], tags: ['b'] },
  ],
  [
    'keeps what another owns too',
    { capacity: '1', count: 1 },
    { capacity: '1' },
    { count: 1 },
    { capacity: '1', count: 1 },
  ],
  [
    'keeps an item of which another owns a field',
    { items: [{ name: 'a', size: 1 }] },
    { items: [{ name: 'a', labels: { x: 'y' } }] },
    { count: 1 },
    { items: [{ name: 'a', labels: { x: 'y' } }], count: 1 },
  ],
  [
    'removes a struct with all its fields',
    { nested: { a: { b: '1' }, d: '2' }, count: 1 },
    {},
    { count: 1 },
    { count: 1 },
  ],
  [
    'keeps a struct of which another owns a part',
    { nested: { a: { b: '1' }, d: '2' } },
    { nested: { a: { b: '1' } } },
    { count: 1 },
    { nested: { a: { b: '1' } }, count: 1 },
  ],
];

describe('apply: removal', () => {
  for (const [name, first, other, then, after] of REMOVALS) {
    it(name, () => {
      const live = applied(['one', first], ['two', other]);
      expect(apply(live, 'one', config(then)).object.spec).to.deep.equal(after);
    });
  }

  it('leaves alone what nobody applied', () => {
    const live = applied(['one', { capacity: '1' }]);
    const unowned = { ...live, spec: { ...(live.spec as JsonObject), count: 5 } };
    expect(apply(unowned, 'one', config({ flag: true })).object.spec).to.deep.equal({ count: 5, flag: true });
  });

  it('drops an applier that owns nothing any more', () => {
    const live = applied(['one', { capacity: '1' }], ['two', { count: 1 }]);
    const { object } = apply(live, 'one', { apiVersion: API_VERSION, kind: KIND, metadata: { name: 'x' } });
    expect(managedFields(object).map(({ manager }) => manager)).to.deep.equal(['two']);
    expect(object.spec).to.deep.equal({ count: 1 });
  });
});

describe('apply: conflicts', () => {
  it('names one conflict as the API server does', () => {
    const live = applied(['one', { capacity: '1' }]);
    const error = refused(() => apply(live, 'two', config({ capacity: '2' })));
    expect(error.status()).to.deep.equal({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: 'Apply failed with 1 conflict: conflict with "one": .spec.capacity',
      reason: 'Conflict',
      details: {
        causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.spec.capacity' }],
      },
      code: 409,
    });
    expect(error.conflicts).to.deep.equal([
      {
        manager: 'one',
        operation: 'Apply',
        apiVersion: API_VERSION,
        subresource: '',
        time: '2026-01-01T00:00:00Z',
        field: '.spec.capacity',
      },
    ]);
  });

  it('groups several by manager, with version and subresource of updaters', () => {
    const live = applied(['one', { items: [{ name: 'a', size: 1 }], tags: ['t'], count: 3 }]);
    const entry = {
      operation: 'Update',
      apiVersion: API_VERSION,
      fieldsType: 'FieldsV1',
      time: '2025-01-01T00:00:00Z',
    };
    const crowd = {
      ...live,
      metadata: {
        ...(live.metadata as JsonObject),
        managedFields: [
          ...managedFields(live),
          { ...entry, manager: 'kubectl', fieldsV1: { 'f:spec': { 'f:count': {} } } },
          { ...entry, manager: 'agent', subresource: 'status', fieldsV1: { 'f:spec': { 'f:count': {} } } },
        ],
      },
    };
    const error = refused(() => apply(crowd, 'two', config({ items: [{ name: 'a', size: 2 }], count: 4 })));
    expect(error.message).to.equal(
      [
        'Apply failed with 4 conflicts: conflicts with "agent" with subresource "status" using storage.clawbernetes.io/v1alpha1:',
        '- .spec.count',
        'conflicts with "kubectl" using storage.clawbernetes.io/v1alpha1:',
        '- .spec.count',
        'conflicts with "one":',
        '- .spec.count',
        '- .spec.items[name="a"].size',
      ].join('\n'),
    );
    expect(error.causes).to.have.length(4);
  });

  it('are none where both want the same: the field is shared', () => {
    const live = applied(['one', { capacity: '1' }]);
    const { object, changed } = apply(live, 'two', config({ capacity: '1' }), { time: T2 });
    expect(changed).to.equal(true);
    expect(ownedBy(object, 'one')).to.deep.equal(ownedBy(object, 'two'));
  });

  it('are overcome by force, which takes the field away', () => {
    const live = applied(['one', { capacity: '1', count: 1 }]);
    const { object } = apply(live, 'two', config({ capacity: '2' }), { force: true });
    expect(object.spec).to.deep.equal({ capacity: '2', count: 1 });
    expect(ownedBy(object, 'one')).to.deep.equal({ 'f:spec': { 'f:count': {} } });
    expect(ownedBy(object, 'two')).to.deep.equal({ 'f:spec': { 'f:capacity': {} } });
  });

  it('arise for all that was there before the first apply', () => {
    const live = { ...config({ capacity: '1', count: 1 }) };
    const error = refused(() => apply(live, 'one', config({ capacity: '2' })));
    expect(error.message).to.equal(
      `Apply failed with 1 conflict: conflict with "before-first-apply" using ${API_VERSION}: .spec.capacity`,
    );
    const { object } = apply(live, 'one', config({ capacity: '2' }), { force: true });
    expect(ownedBy(object, 'before-first-apply')).to.deep.equal({ 'f:spec': { '.': {}, 'f:count': {} } });
  });
});

describe('apply: after kubectl apply on the client’s side', () => {
  const annotation = 'kubectl.kubernetes.io/last-applied-configuration';
  const before = config({ capacity: '1', count: 1 });
  const live = {
    ...config({ capacity: '1', count: 1 }, { annotations: { [annotation]: `${JSON.stringify(before)}\n` } }),
  };
  const tracked = {
    ...live,
    metadata: {
      ...(live.metadata as JsonObject),
      managedFields: [
        {
          manager: 'kubectl-client-side-apply',
          operation: 'Update',
          apiVersion: API_VERSION,
          time: '2025-01-01T00:00:00Z',
          fieldsType: 'FieldsV1',
          fieldsV1: { 'f:spec': { 'f:capacity': {}, 'f:count': {} } },
        },
      ],
    },
  };

  it('kubectl takes over without a conflict and keeps the annotation true', () => {
    const { object } = apply(tracked, 'kubectl', config({ capacity: '2' }));
    expect(object.spec).to.deep.equal({ capacity: '2', count: 1 });
    expect(ownedBy(object, 'kubectl-client-side-apply')).to.deep.equal({ 'f:spec': { 'f:count': {} } });
    const annotations = (object.metadata as JsonObject).annotations as JsonObject;
    expect(annotations[annotation]).to.equal(
      '{"apiVersion":"storage.clawbernetes.io/v1alpha1","kind":"Sample","metadata":{"name":"x","namespace":"default"},"spec":{"capacity":"2"}}\n',
    );
  });

  it('any other manager gets the conflict', () => {
    const error = refused(() => apply(tracked, 'flux', config({ capacity: '2' })));
    expect(error.message).to.equal(
      `Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using ${API_VERSION}: .spec.capacity`,
    );
  });

  it('a field changed since by someone else is a conflict for kubectl too', () => {
    const changed = { ...tracked, spec: { capacity: '5', count: 1 } };
    expect(refused(() => apply(changed, 'kubectl', config({ capacity: '2' }))).reason).to.equal('Conflict');
  });
});

describe('apply: the status subresource', () => {
  const status = { apiVersion: API_VERSION, kind: KIND, metadata: { name: 'x' }, status: { phase: 'Bound' } };

  it('has entries of its own', () => {
    const live = applied(['agent', { capacity: '1' }]);
    const { object } = apply(live, 'agent', status, { subresource: 'status', resetFields: ['spec'] });
    expect(managedFields(object).map((entry) => [entry.manager, entry.subresource])).to.deep.equal([
      ['agent', undefined],
      ['agent', 'status'],
    ]);
  });

  it('owns nothing of the spec, and the main resource nothing of the status', () => {
    const live = applied(['one', { capacity: '1' }]);
    const both = { ...status, spec: { capacity: '2', count: 7 } };
    const viaStatus = apply(live, 'agent', both, { subresource: 'status', resetFields: ['spec'] });
    expect(ownedBy(viaStatus.object, 'agent')).to.deep.equal({ 'f:status': { 'f:phase': {} } });
    expect(ownedBy(viaStatus.object, 'one')).to.deep.equal({ 'f:spec': { 'f:capacity': {} } });
    const viaMain = apply(live, 'two', { ...both, spec: { count: 7 } }, { resetFields: ['status'] });
    expect(ownedBy(viaMain.object, 'two')).to.deep.equal({ 'f:spec': { 'f:count': {} } });
  });

  it('shares conditions by type', () => {
    const condition = (type: string, value: string) => ({
      ...status,
      status: { conditions: [{ type, status: value }] },
    });
    const sub = { subresource: 'status', resetFields: ['spec'] };
    let live = applied(['one', { capacity: '1' }]);
    live = apply(live, 'agent', condition('Ready', 'True'), sub).object;
    live = apply(live, 'controller', condition('Stalled', 'False'), sub).object;
    expect(live.status).to.deep.equal({
      conditions: [
        { type: 'Ready', status: 'True' },
        { type: 'Stalled', status: 'False' },
      ],
    });
    const error = refused(() => apply(live, 'controller', condition('Ready', 'False'), sub));
    expect(error.message).to.equal(
      'Apply failed with 1 conflict: conflict with "agent" with subresource "status": .status.conditions[type="Ready"].status',
    );
  });
});

describe('apply: times and no-ops', () => {
  it('the same apply again changes nothing and returns the live object itself', () => {
    const live = applied(['one', { capacity: '1', items: [{ name: 'a' }], args: ['x'] }]);
    const again = apply(live, 'one', config({ args: ['x'], items: [{ name: 'a' }], capacity: '1' }), { time: T2 });
    expect(again).to.deep.equal({ object: live, changed: false });
    expect(again.object).to.equal(live);
  });

  it('a change moves the time of its manager only, in whole seconds', () => {
    const live = applied(['one', { capacity: '1' }], ['two', { count: 1 }]);
    const { object } = apply(live, 'two', config({ count: 2 }), { time: T2 });
    expect(managedFields(object).map(({ manager, time }) => [manager, time])).to.deep.equal([
      ['one', '2026-01-01T00:00:00Z'],
      ['two', '2026-01-02T00:00:00Z'],
    ]);
    expect(managedFields(object)[0]).to.equal(managedFields(live)[0]);
  });

  it('forgets managers of versions that are gone', () => {
    const live = applied(['one', { capacity: '1' }]);
    const old = { ...managedFields(live)[0], apiVersion: 'storage.clawbernetes.io/v1alpha0', manager: 'old' };
    const with0 = {
      ...live,
      metadata: { ...(live.metadata as JsonObject), managedFields: [...managedFields(live), old] },
    };
    const gone = apply(with0, 'two', config({ capacity: '2' }), { force: true });
    expect(managedFields(gone.object).map(({ manager }) => manager)).to.deep.equal(['two']);
    const kept = apply(with0, 'two', config({ count: 1 }), { otherVersions: ['storage.clawbernetes.io/v1alpha0'] });
    expect(managedFields(kept.object).map(({ manager }) => manager)).to.have.members(['old', 'one', 'two']);
  });
});

describe('apply: refusals', () => {
  const prefix = `failed to create typed patch object (default/x; ${API_VERSION}, Kind=${KIND}): `;
  const shapes: readonly (readonly [string, unknown, string])[] = [
    ['an undeclared field', { unheard: 1 }, '.spec.unheard: field not declared in schema'],
    [
      'a number for a string',
      { capacity: 5 },
      '.spec.capacity: expected string, got &value.valueUnstructured{Value:5}',
    ],
    ['a string for a number', { count: 'many' }, '.spec.count: expected numeric (int or float), got string'],
    ['a string for a boolean', { flag: 'yes' }, '.spec.flag: expected boolean, got &{yes}'],
    ['a map for a list', { tags: { a: 'b' } }, '.spec.tags: expected list, got &{map[a:b]}'],
    ['a list for a map', { selector: ['a', 1] }, '.spec.selector: expected map, got &{[a 1]}'],
    ['an item twice', { items: [{ name: 'a' }, { name: 'a' }] }, '.spec.items: duplicate entries for key [name="a"]'],
    ['a member twice', { tags: ['a', 'a'] }, '.spec.tags: duplicate entries for key [="a"]'],
    [
      'an item twice by default',
      { ports: [{ port: 1 }, { port: 1, protocol: 'TCP' }] },
      '.spec.ports: duplicate entries for key [port=1,protocol="TCP"]',
    ],
    [
      'an item without its key',
      { items: [{ size: 1 }] },
      '.spec.items: element 0: associative list with keys has an element that omits all key fields ["name"] (and doesn\'t have default values for any key fields)',
    ],
    [
      'a wrong value in an item',
      { items: [{ name: 'a', size: 'x' }] },
      '.spec.items[name="a"].size: expected numeric (int or float), got string',
    ],
  ];
  for (const [name, spec, message] of shapes) {
    it(name, () => {
      const error = refused(() => apply(null, 'one', config(spec)));
      expect(error.message).to.equal(prefix + message);
      expect(error.code).to.equal(500);
    });
  }

  it('several problems at once', () => {
    const error = refused(() => apply(null, 'one', config({ capacity: true, count: '1' })));
    expect(error.message).to.equal(
      `${prefix}errors:\n  .spec.capacity: expected string, got &value.valueUnstructured{Value:true}\n  .spec.count: expected numeric (int or float), got string`,
    );
  });

  it('managedFields in a configuration, and a wrong kind', () => {
    const own = refused(() => apply(null, 'one', config({}, { managedFields: [] })));
    expect([own.code, own.message]).to.deep.equal([400, 'metadata.managedFields must be nil']);
    const kind = refused(() => apply(null, 'one', { ...config({}), kind: 'Other' }));
    expect([kind.code, kind.message]).to.deep.equal([400, `invalid object type: ${API_VERSION}, Kind=Other`]);
  });
});
