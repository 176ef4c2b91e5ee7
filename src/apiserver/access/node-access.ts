/**
 * What the agent of one node may do: read what its node needs, and write of its own node's objects the status and our
 * finalizers, besides its Lease and Events. The model is Kubernetes' node authorizer with its admission plugin; on a real
 * cluster the same rules are RBAC and ValidatingAdmissionPolicies.
 */
import { FINALIZERS, GROUP, LABELS, nodeLeaseName, SYSTEM_NAMESPACE } from '../../api/group.ts';
import { type NamedResource, nameIn, namesFor } from '../../api/references.ts';
import { forbidden } from '../http/errors.ts';
import { keyOf, type Resource } from '../kinds/resource.ts';
import type { Attempt } from '../registry/request.ts';
import { deepEqual, isObject, type Json, type JsonObject } from '../schema/json-value.ts';
import type { Item } from '../storage/item.ts';
import type { Attributes } from './attributes.ts';
import { type Rule, SELF_RULES } from './roles.ts';

const READ = ['get', 'list', 'watch'];
const WRITE = ['update', 'patch'];
const NODES = 'storagenodes';

/** Answers from the objects as they are at the moment. */
export class NodeAccess {
  readonly #kinds = new Map<string, Resource>();

  constructor(resources: readonly Resource[]) {
    for (const resource of resources) if (resource.group === GROUP) this.#kinds.set(resource.resource, resource);
  }

  /** The part that no object decides. */
  rules(node: string): readonly Rule[] {
    return [
      { verbs: READ, groups: [GROUP], resources: ['volumeclasses'] },
      { verbs: [...READ, ...WRITE], groups: [GROUP], resources: [NODES, `${NODES}/status`], names: [node] },
      // What is created is looked at when it is known: a StorageNode and a Lease of its own, Events of its own.
      { verbs: ['create'], groups: [GROUP], resources: [NODES] },
      { verbs: READ, groups: [''], resources: ['namespaces'] },
      { verbs: ['create', 'update', 'patch'], groups: ['', 'events.k8s.io'], resources: ['events'] },
      { verbs: READ, groups: ['apiextensions.k8s.io'], resources: ['customresourcedefinitions'] },
      ...SELF_RULES,
    ];
  }

  isAllowed(node: string, attributes: Attributes): boolean {
    const { verb, group, resource, subresource, namespace, name } = attributes;
    if (group === 'coordination.k8s.io' && resource === 'leases' && namespace === SYSTEM_NAMESPACE) {
      return verb === 'create' || (name === nodeLeaseName(node) && [...READ, ...WRITE].includes(verb));
    }
    if (group === '' && (resource === 'secrets' || resource === 'configmaps')) {
      if (subresource !== '' || name === '' || namespace === '') return false;
      if (verb === 'patch' && resource === 'secrets') return this.isFilledBy(node, namespace, name);
      return READ.includes(verb) && this.#isNamed(node, resource, namespace, name);
    }
    const kind = group === GROUP ? this.#kinds.get(resource) : undefined;
    if (kind === undefined || resource === NODES || !kind.selectable.has('status.nodeName')) return false;
    if (READ.includes(verb) && attributes.pinned.get('status.nodeName') === node) return true;
    // What is found in a repository of the node; which that is, is looked at when it is known.
    if (verb === 'create' && resource === 'backups' && subresource === '') {
      return !this.#own(node, namespace, 'backuprepositories').next().done;
    }
    if (name === '' || ![...READ, ...WRITE].includes(verb)) return false;
    if (subresource !== '' && subresource !== 'status') return false;
    const item = kind.collection.get(keyOf(kind, namespace, name));
    if (item !== undefined && nodeNameOf(item.object) === node) return true;
    if (READ.includes(verb) && resource === 'volumes' && this.#mountsOf(node, namespace).has(name)) return true;
    // An object that takes the name of one that was found may stand for it already.
    if (verb === 'get' && resource === 'backups' && item !== undefined) {
      const { spec } = item.object;
      const reference = statusOf(item.object)['repositoryRef'] ?? (isObject(spec) ? spec['repositoryRef'] : undefined);
      if (this.tends(node, namespace, nameIn(reference) ?? '')) return true;
    }
    // What is not there is told as such to who names it, so that an agent sees its objects go.
    return item === undefined && (verb === 'get' || WRITE.includes(verb));
  }

  /** Whether an object that an Event is about belongs to another node. */
  isOfAnother(node: string, about: JsonObject): boolean {
    const kind = [...this.#kinds.values()].find((one) => one.kind === about['kind']);
    if (kind === undefined || !String(about['apiVersion'] ?? '').startsWith(`${GROUP}/`)) return false;
    const name = String(about['name'] ?? '');
    if (kind.resource === NODES) return name !== node;
    const item = kind.collection.get(keyOf(kind, String(about['namespace'] ?? ''), name));
    const owner = item === undefined ? undefined : nodeNameOf(item.object);
    return owner !== undefined && owner !== node;
  }

  /** Whether a Restore of the node has this Secret for the manifests that it takes out of a repository. */
  isFilledBy(node: string, namespace: string, name: string): boolean {
    for (const { object } of this.#own(node, namespace, 'restores')) {
      if (nameIn(statusOf(object)['manifestSecretRef']) === name) return true;
    }
    return false;
  }

  /** Whether it is the node that tends a repository. */
  tends(node: string, namespace: string, repository: string): boolean {
    const item = this.#kinds.get('backuprepositories')?.collection.get(`${namespace}/${repository}`);
    return item !== undefined && nodeNameOf(item.object) === node;
  }

  /** Names of the volumes that mounts of the node want. */
  #mountsOf(node: string, namespace: string): ReadonlySet<string> {
    const names = new Set<string>();
    for (const item of this.#own(node, namespace, 'volumemounts')) {
      const spec = item.object['spec'];
      const name = nameIn(isObject(spec) ? spec['volumeRef'] : undefined);
      if (name !== undefined) names.add(name);
    }
    return names;
  }

  /**
   * Whether an object of the node, a volume that a mount of the node wants, the volume that a snapshot of the node is of,
   * or the class of one of these volumes or of a repository names this Secret or ConfigMap.
   */
  #isNamed(node: string, resource: NamedResource, namespace: string, name: string): boolean {
    for (const kind of this.#kinds.keys()) {
      for (const item of this.#own(node, namespace, kind)) {
        if (this.#names(item.object, kind, resource, name)) return true;
      }
    }
    const volumes = this.#kinds.get('volumes');
    for (const volume of this.#mountsOf(node, namespace)) {
      const item = volumes?.collection.get(`${namespace}/${volume}`);
      if (item !== undefined && this.#names(item.object, 'volumes', resource, name)) return true;
    }
    return false;
  }

  #names(object: JsonObject, kind: string, resource: NamedResource, name: string): boolean {
    const classNamed = (className: string): Json | undefined =>
      this.#kinds.get('volumeclasses')?.collection.get(className)?.object['spec'];
    return namesFor(kind, object, resource, classNamed).some((one) => one === name);
  }

  *#own(node: string, namespace: string, resource: string): Generator<Item> {
    const kind = this.#kinds.get(resource);
    if (kind === undefined || !kind.namespaced) return;
    const { from, to } = kind.collection.range(namespace);
    for (let index = from; index < to; index++) {
      const item = kind.collection.at(index);
      if (nodeNameOf(item.object) === node) yield item;
    }
  }
}

/** Checks a write of a node's agent when its outcome is known. Throws StatusError (403). */
export function admitNode(node: string, attempt: Attempt, access: NodeAccess): void {
  const { resource, subresource, old, object } = attempt;
  const metadata = object['metadata'] as JsonObject;
  const name = String(metadata['name'] ?? '');
  const refuse = (why: string): never => {
    throw forbidden(resource, name, `node ${JSON.stringify(node)} ${why}`);
  };
  if (resource.resource === 'leases') {
    if (name !== nodeLeaseName(node)) refuse(`may write the Lease ${nodeLeaseName(node)} only`);
    return;
  }
  if (resource.resource === 'events') {
    for (const event of old === undefined ? [object] : [old, object]) {
      if (reporterOf(event) !== node) refuse('may write Events that it reports itself only (source.host)');
    }
    const about = object['involvedObject'];
    if (isObject(about) && access.isOfAnother(node, about)) refuse("may not write Events about another node's objects");
    return;
  }
  if (resource.resource === 'secrets') {
    const namespace = String(metadata['namespace'] ?? '');
    if (old === undefined || !access.isFilledBy(node, namespace, name)) refuse('may not create Secrets');
    else refuseOthers(object, old, ['data', 'metadata'], refuse);
    const before = (old?.['metadata'] ?? {}) as JsonObject;
    refuseOthers(metadata, before, [...FREE_METADATA], (why) => refuse(why.replace('change ', 'change metadata.')));
    return;
  }
  if (resource.group !== GROUP) return;
  const isNode = resource.resource === NODES;
  if (isNode && name !== node) refuse('may write its own StorageNode only');
  // Or it would be given the volumes of another one, and the Secrets that those name.
  const { [LABELS.hostname]: hostname = node } = labelsOf(object);
  if (isNode && subresource === '' && hostname !== node) refuse('may have its own host name only');
  if (old === undefined) {
    if (resource.resource === 'backups') return admitFound(node, object, access, refuse);
    if (!isNode) refuse(`may not create ${resource.resource}`);
    if (!Object.keys(labelsOf(object)).every(isOwnLabel)) refuse('may set the labels of its host name and system only');
    const more = ['annotations', 'ownerReferences', 'finalizers'].find((field) => metadata[field] !== undefined);
    if (more !== undefined) refuse(`may not set metadata.${more}`);
    return;
  }
  if (!isNode && nodeNameOf(old) !== node) refuse("may not change another node's objects");
  if (subresource === 'status') {
    for (const field of CONTROLLERS_FIELDS[resource.resource] ?? ['nodeName']) {
      if (!deepEqual(statusOf(object)[field], statusOf(old)[field])) refuse(`may not change status.${field}`);
    }
    return;
  }
  refuseOthers(object, old, ['metadata'], refuse);
  const before = old['metadata'] as JsonObject;
  for (const field of new Set([...Object.keys(metadata), ...Object.keys(before)])) {
    if (FREE_METADATA.has(field) || deepEqual(metadata[field], before[field])) continue;
    if (field === 'labels' && isNode && changedKeys(labelsOf(object), labelsOf(old)).every(isOwnLabel)) continue;
    if (field !== 'finalizers') refuse(`may not change metadata.${field}`);
    const foreign = changedItems(metadata[field], before[field]).find((text) => !text.startsWith(`${GROUP}/`));
    if (foreign !== undefined) refuse(`may not add or remove the finalizer ${foreign}`);
  }
}

/** What the controller decides, by kind; `nodeName` of the others. A mount's `source` is what its agent sees. */
const CONTROLLERS_FIELDS: Readonly<Record<string, readonly string[]>> = {
  [NODES]: [],
  volumes: ['nodeName', 'attachments'],
  snapshots: ['nodeName', 'source'],
  restores: [
    'nodeName',
    'source',
    'safetySnapshotRef',
    'startTime',
    'manifestSecretRef',
    'backupID',
    'repositoryRef',
    'volumes',
  ],
  backups: ['nodeName', 'repositoryRef', 'manifestSecretRefs'],
};

/** What follows from a write. */
const FREE_METADATA = new Set(['managedFields', 'resourceVersion', 'generation']);

/** A Backup that stands for one that was found in a repository of the node: nothing is backed up or deleted for it. */
function admitFound(node: string, object: JsonObject, access: NodeAccess, refuse: (why: string) => never): void {
  const metadata = object['metadata'] as JsonObject;
  const spec = isObject(object['spec']) ? object['spec'] : {};
  const repository = nameIn(spec['repositoryRef']) ?? '';
  if (!isObject(spec['imported'])) refuse('may create Backups only for those that it found');
  if (!access.tends(node, String(metadata['namespace'] ?? ''), repository)) {
    refuse('may create Backups only of a repository that it tends');
  }
  const policy = spec['deletionPolicy'];
  if (policy !== undefined && policy !== 'Retain') refuse('may create Backups only with the deletionPolicy Retain');
  refuseOthers(spec, {}, FOUND_SPEC, (why) => refuse(why.replace('change ', 'set spec.')));
  refuseOthers(metadata, {}, FOUND_METADATA, (why) => refuse(why.replace('change ', 'set metadata.')));
  const foreign = Object.keys(labelsOf(object)).find((key) => key !== LABELS.repository);
  if (foreign !== undefined) refuse(`may not set the label ${foreign}`);
  const finalizer = changedItems(metadata['finalizers'], []).find((text) => text !== FINALIZERS.backup);
  if (finalizer !== undefined) refuse(`may not set the finalizer ${finalizer}`);
}

const FOUND_SPEC = ['imported', 'repositoryRef', 'deletionPolicy', 'scope', 'onPartial'];
/** Besides the name, what the server sets. */
const FOUND_METADATA = ['name', 'namespace', 'labels', 'finalizers', 'uid', 'creationTimestamp', ...FREE_METADATA];

/** Refuses the first field that is not one of these and differs. */
function refuseOthers(
  object: JsonObject,
  old: JsonObject,
  free: readonly string[],
  refuse: (why: string) => void,
): void {
  for (const field of new Set([...Object.keys(object), ...Object.keys(old)])) {
    if (!free.includes(field) && !deepEqual(object[field], old[field])) refuse(`may not change ${field}`);
  }
}

function isOwnLabel(key: string): boolean {
  return key === LABELS.hostname || key === LABELS.arch || key === LABELS.os;
}

function labelsOf(object: JsonObject): JsonObject {
  const { labels } = object['metadata'] as JsonObject;
  return isObject(labels) ? labels : {};
}

function statusOf(object: JsonObject): JsonObject {
  return isObject(object['status']) ? object['status'] : {};
}

function nodeNameOf(object: JsonObject): string | undefined {
  const { nodeName } = statusOf(object);
  return typeof nodeName === 'string' ? nodeName : undefined;
}

function changedKeys(a: JsonObject, b: JsonObject): string[] {
  return Object.keys({ ...a, ...b }).filter((key) => a[key] !== b[key]);
}

function changedItems(a: Json | undefined, b: Json | undefined): string[] {
  const [after, before] = [a, b].map((list) => (Array.isArray(list) ? list.map(String) : [])) as [string[], string[]];
  return [...after.filter((text) => !before.includes(text)), ...before.filter((text) => !after.includes(text))];
}

/** The node whose agent wrote an Event, if all that it says of that agrees. */
function reporterOf(event: JsonObject): string | undefined {
  const source = isObject(event['source']) ? event['source']['host'] : undefined;
  const said = [source, event['reportingInstance']].filter((text) => typeof text === 'string' && text !== '');
  return said.every((text) => text === said[0]) ? (said[0] as string | undefined) : undefined;
}
