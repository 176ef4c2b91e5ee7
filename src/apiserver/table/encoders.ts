import { jsonOf, listItemJson, objectOf, type Resource } from '../kinds/resource.ts';
import type { Clock } from '../registry/clock.ts';
import type { JsonObject } from '../schema/json-value.ts';
import type { Item } from '../storage/item.ts';

/** What stands above the items of a list. */
export interface ListMeta {
  readonly resourceVersion: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

/** Writes objects in the form that a client asked for. */
export interface Encoder {
  /** The same for all encoders whose output for one version of an object is the same; undefined when nothing is shared. */
  readonly shared: string | undefined;
  /** One object, as the body of an answer and in a watch event; `first` is true for the first event of a watch. */
  object(item: Item, first?: boolean): string;
  /** A list in pieces, made one by one as they are asked for: a long list is never there as a whole. */
  list(items: readonly Item[], meta: ListMeta): Iterable<string>;
  /** The object of a bookmark. */
  bookmark(revision: number, annotations?: Readonly<Record<string, string>>): string;
}

function encodeMeta(meta: ListMeta): string {
  return JSON.stringify(meta);
}

/** A JSON list: what stands before its items, these, and its end; `empty` stands for a list without any. */
function* pieces(
  head: string,
  items: readonly Item[],
  encode: (item: Item) => string,
  empty = '[]',
): Generator<string> {
  yield head;
  if (items.length === 0) {
    yield `${empty}}`;
    return;
  }
  let separator = '[';
  for (const item of items) {
    yield separator + encode(item);
    separator = ',';
  }
  yield ']}';
}

/** Objects as they are. */
export function plainEncoder(resource: Resource): Encoder {
  const head = `{"kind":${JSON.stringify(resource.listKind)},"apiVersion":${JSON.stringify(resource.apiVersion)},"metadata":`;
  return {
    shared: resource.apiVersion,
    object: (item) => jsonOf(resource, item),
    list: (items, meta) =>
      pieces(
        `${head}${encodeMeta(resource.custom && meta.continue === undefined ? { continue: '', ...meta } : meta)},"items":`,
        items,
        (item) => listItemJson(resource, item),
      ),
    bookmark: (revision, annotations) => bookmark(resource.kind, resource.apiVersion, revision, annotations),
  };
}

function bookmark(
  kind: string,
  apiVersion: string,
  revision: number,
  annotations: Readonly<Record<string, string>> | undefined,
): string {
  const metadata = { resourceVersion: String(revision), ...(annotations === undefined ? {} : { annotations }) };
  return JSON.stringify({ kind, apiVersion, metadata });
}

const META_VERSION = 'meta.k8s.io/v1';

function partial(resource: Resource, item: Item): JsonObject {
  const metadata = objectOf(resource, item)['metadata'] as JsonObject;
  return { kind: 'PartialObjectMetadata', apiVersion: META_VERSION, metadata };
}

/** Metadata alone (`as=PartialObjectMetadata`). */
export function metadataEncoder(resource: Resource): Encoder {
  return {
    shared: `${resource.apiVersion} metadata`,
    object: (item) => JSON.stringify(partial(resource, item)),
    list: (items, meta) =>
      // An empty list of metadata is a nil slice in Go.
      pieces(
        `{"kind":"PartialObjectMetadataList","apiVersion":"${META_VERSION}","metadata":${encodeMeta(meta)},"items":`,
        items,
        (item) => JSON.stringify(partial(resource, item)),
        'null',
      ),
    bookmark: (revision, annotations) => bookmark('PartialObjectMetadata', META_VERSION, revision, annotations),
  };
}

/** What the rows of a table hold besides their cells. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

/** Rows with cells rendered by the server (`as=Table`). */
export function tableEncoder(resource: Resource, include: IncludeObject, clock: Clock): Encoder {
  const definitions = JSON.stringify(resource.columns);
  const row = (item: Item): string => {
    const stored = resource.custom ? objectOf(resource, item) : item.object;
    const cells = JSON.stringify(resource.cells(stored, clock.now()));
    const object =
      include === 'None'
        ? 'null'
        : include === 'Object'
          ? jsonOf(resource, item)
          : JSON.stringify(partial(resource, item));
    return `{"cells":${cells},"object":${object}}`;
  };
  const start = (metadata: string, columns: string): string =>
    `{"kind":"Table","apiVersion":"${META_VERSION}","metadata":${metadata},"columnDefinitions":${columns},"rows":`;
  return {
    shared: undefined,
    object: (item, first = true) =>
      `${start(`{"resourceVersion":"${item.revision}"}`, first ? definitions : 'null')}[${row(item)}]}`,
    list: (items, meta) => pieces(start(encodeMeta(meta), definitions), items, row),
    bookmark: (revision, annotations) => {
      const object = bookmark(resource.kind, resource.apiVersion, revision, annotations);
      return `${start(`{"resourceVersion":"${revision}"}`, definitions)}[{"cells":[],"object":${object}}]}`;
    },
  };
}
