import { expect } from 'chai';
import { describe, it } from 'mocha';
import { LABELS, PRUNE_ANNOTATION, SYNC_FILE_ANNOTATION } from '../../src/api/group.ts';
import {
  apiVersionOf,
  BACKUP_REPOSITORIES,
  BACKUP_SCHEDULES,
  BACKUPS,
  NAMESPACES,
  type ResourceDescriptor,
  SECRETS,
  SNAPSHOTS,
  VOLUME_CLASSES,
  VOLUME_MOUNTS,
  VOLUMES,
} from '../../src/api/meta.ts';
import { type BrokenPart, nameOfObject, type SourceObject } from '../../src/sync/documents.ts';
import { APPLICABLE, pruneStage } from '../../src/sync/kinds.ts';
import { dueNow, type LiveObject, type PlanFacts, planPrune } from '../../src/sync/plan.ts';

const ID = 'here';

function live(
  resource: ResourceDescriptor,
  name: string,
  { namespace = 'team', file = 'a.yaml', id = ID, manager = 'clawstore-sync', prune = '', deleting = false } = {},
): LiveObject {
  const ref = resource.namespaced ? { namespace, name } : { name };
  const metadata = {
    ...ref,
    labels: { [LABELS.sync]: id },
    annotations: { [SYNC_FILE_ANNOTATION]: file, ...(prune === '' ? {} : { [PRUNE_ANNOTATION]: prune }) },
    managedFields: [{ manager, operation: 'Apply' as const }],
    ...(deleting ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
  };
  return { resource, ref, object: { apiVersion: apiVersionOf(resource), kind: resource.kind, metadata } };
}

function inSource({ resource, ref, object }: LiveObject): SourceObject {
  return { file: 'a.yaml', line: 1, resource, ref, object };
}

/** A source that has something, whatever else it has. */
const ANY = inSource(live(VOLUMES, 'any'));

function plan(
  facts: Partial<Omit<PlanFacts, 'source'>> & { objects?: readonly SourceObject[]; broken?: readonly BrokenPart[] },
) {
  const { objects = [ANY], broken = [], ...rest } = facts;
  const result = planPrune({ source: { objects, broken }, live: [], id: ID, allowEmpty: false, ...rest });
  return { ...result, names: result.prune.map(({ resource, ref }) => nameOfObject(resource, ref)) };
}

describe('what is deleted', () => {
  it('is what was applied from here and has left the source', () => {
    const [stays, goes] = [live(VOLUMES, 'stays'), live(VOLUMES, 'goes')];
    expect(plan({ objects: [inSource(stays)], live: [stays, goes] }).names).to.deep.equal(['Volume team/goes']);
  });

  it('is nothing that somebody else has made, whatever its labels say', () => {
    const copy = live(VOLUMES, 'copy', { manager: 'kubectl' });
    expect(plan({ live: [copy] })).to.deep.include({ names: [], kept: [] });
  });

  const kept: readonly (readonly [string, LiveObject, string])[] = [
    ['is annotated', live(VOLUMES, 'v', { prune: 'false' }), 'prune: "false"'],
    ['came from another source', live(VOLUMES, 'v', { id: 'elsewhere' }), 'another source'],
    ['is the namespace default', live(NAMESPACES, 'default'), 'the control plane itself'],
    ['is the namespace of the installation', live(NAMESPACES, 'clawstore-system'), 'the control plane itself'],
    ['is the default class', live(VOLUME_CLASSES, 'default'), 'the control plane itself'],
  ];
  for (const [why, one, message] of kept) {
    it(`is nothing that ${why}, and it is said`, () => {
      const result = plan({ live: [one] });
      expect(result.names).to.deep.equal([]);
      expect(result.kept.map((each) => each.why).join()).to.include(message);
    });
  }

  it('is with another value of the annotation', () => {
    expect(plan({ live: [live(VOLUMES, 'v', { prune: 'true' })] }).names).to.have.length(1);
  });

  it('is nothing that a file has had which cannot be read now', () => {
    const objects = [live(VOLUMES, 'from-a'), live(VOLUMES, 'from-b', { file: 'b.yaml' })];
    const result = plan({ live: objects, broken: [{ file: 'b.yaml', message: 'is not YAML', text: 'kind: [' }] });
    expect(result.names).to.deep.equal(['Volume team/from-a']);
    expect(result.kept.map(({ why }) => why)).to.deep.equal(['b.yaml cannot be read, and may have it']);
  });

  it('is nothing that a broken file names: it may have moved there', () => {
    const broken = [{ file: 'new.yaml', message: 'is not YAML', text: 'metadata: {name: moved}\nspec: [' }];
    expect(plan({ live: [live(VOLUMES, 'moved'), live(VOLUMES, 'gone')], broken }).names).to.deep.equal([
      'Volume team/gone',
    ]);
  });

  it('is nothing at all while there is a file that nobody could look into', () => {
    const broken = [{ file: 'large.yaml', message: 'larger than 1024 KiB' }];
    expect(plan({ live: [live(VOLUMES, 'v')], broken }).names).to.deep.equal([]);
  });

  it('is nothing when the source has no object, unless that was allowed', () => {
    const objects = [live(VOLUMES, 'a'), live(VOLUMES, 'b')];
    const refused = plan({ objects: [], live: objects });
    expect(refused.names).to.deep.equal([]);
    expect(refused.refusal).to.include('2 that it had').and.include('--sync-allow-empty');
    expect(refused.kept).to.have.length(2);
    const allowed = plan({ objects: [], live: objects, allowEmpty: true });
    expect(allowed.names).to.have.length(2);
    expect(allowed.refusal).to.equal(undefined);
    // A file that is broken is no object either.
    const broken = [{ file: 'x.yaml', message: 'is not YAML', text: '[' }];
    expect(plan({ objects: [], live: objects, broken }).refusal).to.be.a('string');
    expect(plan({ objects: [], live: [] }).refusal).to.equal(undefined);
  });
});

describe('the order of deletion', () => {
  const due = (...objects: readonly LiveObject[]): readonly string[] =>
    dueNow(objects).map(({ resource, ref }) => nameOfObject(resource, ref));

  it('has what depends on others before them, and namespaces last', () => {
    const order = [BACKUP_SCHEDULES, VOLUME_MOUNTS, SNAPSHOTS, VOLUMES, BACKUP_REPOSITORIES, SECRETS, NAMESPACES];
    const stages = order.map(pruneStage);
    expect(stages).to.deep.equal(stages.toSorted((a, b) => a - b));
    expect(new Set(stages).size).to.equal(stages.length);
    expect(pruneStage(BACKUPS)).to.be.below(pruneStage(BACKUP_REPOSITORIES));
    expect(pruneStage(VOLUMES)).to.be.below(pruneStage(VOLUME_CLASSES));
    for (const resource of APPLICABLE.filter((one) => one !== NAMESPACES)) {
      expect(pruneStage(resource), resource.kind).to.be.below(pruneStage(NAMESPACES));
    }
  });

  it('waits in each namespace for what is on its way there', () => {
    const all = [
      live(NAMESPACES, 'team'),
      live(VOLUME_CLASSES, 'fast'),
      live(SECRETS, 'key'),
      live(VOLUMES, 'v'),
      live(VOLUME_MOUNTS, 'm'),
      live(VOLUMES, 'other', { namespace: 'other' }),
    ];
    expect(due(...all)).to.deep.equal(['VolumeMount team/m', 'Volume other/other']);
    const [namespace, cls, secret, volume] = all as [LiveObject, LiveObject, LiveObject, LiveObject];
    const going = live(VOLUME_MOUNTS, 'm', { deleting: true });
    expect(due(namespace, cls, secret, volume, going)).to.deep.equal([]);
    expect(due(namespace, cls, secret, volume)).to.deep.equal(['Volume team/v']);
    expect(due(namespace, cls, secret)).to.deep.equal(['VolumeClass fast', 'Secret team/key']);
    expect(due(namespace, cls)).to.deep.equal(['Namespace team', 'VolumeClass fast']);
  });
});
