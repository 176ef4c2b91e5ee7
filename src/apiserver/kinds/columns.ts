/** The columns of the built-in kinds (kubernetes, `pkg/printers/internalversion`). */
import { humanDuration } from '../schema/columns.ts';
import { isObject, type Json, type JsonObject } from '../schema/json-value.ts';
import { lastSeen } from './events.ts';
import type { Column } from './resource.ts';

export interface Printer {
  readonly columns: readonly Column[];
  readonly cells: (object: JsonObject, now: number) => readonly unknown[];
}

const NAME_DESCRIPTION =
  'Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names';

/** The first column of every table. */
export const NAME_COLUMN: Column = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: NAME_DESCRIPTION,
  priority: 0,
};

/** When an object was made. */
export const CREATED_COLUMN: Column = {
  name: 'Created At',
  type: 'date',
  format: '',
  description:
    'CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata',
  priority: 0,
};

function column(name: string, type: string, description: string, priority = 0): Column {
  return { name, type, format: '', description, priority };
}

function metadata(object: JsonObject): JsonObject {
  return object['metadata'] as JsonObject;
}

function age(time: Json | undefined, now: number): string {
  const at = typeof time === 'string' ? Date.parse(time) : Number.NaN;
  return Number.isNaN(at) ? '<unknown>' : humanDuration(now - at);
}

const created = (object: JsonObject, now: number): string => age(metadata(object)['creationTimestamp'], now);

function count(value: Json | undefined): number {
  return isObject(value) ? Object.keys(value).length : 0;
}

function field(object: Json | undefined, ...path: readonly string[]): string {
  let value: Json | undefined = object;
  for (const key of path) value = isObject(value) ? value[key] : undefined;
  return typeof value === 'string' ? value : '';
}

const SECRET_DATA =
  "Data contains the secret data. Each key must consist of alphanumeric characters, '-', '_' or '.'. The serialized form of the secret data is a base64 encoded string, representing the arbitrary (possibly non-string) data value here. Described in https://tools.ietf.org/html/rfc4648#section-4";
const MAP_DATA =
  "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or '.'. Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored in Data must not overlap with the keys in the BinaryData field, this is enforced during validation process.";
const HOLDER =
  'holderIdentity contains the identity of the holder of a current lease. If Coordinated Leader Election is used, the holder identity must be equal to the elected LeaseCandidate.metadata.name field.';
const AGE = column('Age', 'string', CREATED_COLUMN.description);

export const NAMESPACE_PRINTER: Printer = {
  columns: [NAME_COLUMN, column('Status', 'string', 'The status of the namespace'), AGE],
  cells: (object, now) => [field(object, 'metadata', 'name'), field(object, 'status', 'phase'), created(object, now)],
};

export const SECRET_PRINTER: Printer = {
  columns: [NAME_COLUMN, column('Type', 'string', 'Type of the secret.'), column('Data', 'string', SECRET_DATA), AGE],
  cells: (object, now) => [
    field(object, 'metadata', 'name'),
    field(object, 'type'),
    count(object['data']),
    created(object, now),
  ],
};

export const CONFIG_MAP_PRINTER: Printer = {
  columns: [NAME_COLUMN, column('Data', 'string', MAP_DATA), AGE],
  cells: (object, now) => [
    field(object, 'metadata', 'name'),
    count(object['data']) + count(object['binaryData']),
    created(object, now),
  ],
};

export const LEASE_PRINTER: Printer = {
  columns: [NAME_COLUMN, column('Holder', 'string', HOLDER), AGE],
  cells: (object, now) => [
    field(object, 'metadata', 'name'),
    field(object, 'spec', 'holderIdentity'),
    created(object, now),
  ],
};

export const CRD_PRINTER: Printer = {
  columns: [NAME_COLUMN, CREATED_COLUMN],
  cells: (object) => [field(object, 'metadata', 'name'), field(object, 'metadata', 'creationTimestamp')],
};

export const EVENT_PRINTER: Printer = {
  columns: [
    column('Last Seen', 'string', 'The time at which the most recent occurrence of this event was recorded.'),
    column('Type', 'string', 'Type of this event (Normal, Warning), new types could be added in the future'),
    column('Reason', 'string', 'Why the transition into the current status happened.'),
    column('Object', 'string', 'The object that this event is about.'),
    column('Subobject', 'string', 'A part of the object.', 1),
    column('Source', 'string', 'The component reporting this event.', 1),
    column('Message', 'string', 'A description of the status of this operation for people.'),
    column('First Seen', 'string', 'The time at which the event was first recorded.', 1),
    column('Count', 'string', 'The number of times this event has occurred.', 1),
    { ...NAME_COLUMN, priority: 1 },
  ],
  cells: (event, now) => {
    const first = event['firstTimestamp'] ?? event['eventTime'] ?? metadata(event)['creationTimestamp'];
    const series = event['series'];
    const about = event['involvedObject'];
    const host = field(event, 'source', 'host');
    const source = field(event, 'source', 'component') || field(event, 'reportingComponent');
    const kind = field(about, 'kind').toLowerCase();
    const times = event['count'] ?? (isObject(series) ? series['count'] : undefined) ?? 1;
    return [
      age(lastSeen(event), now),
      field(event, 'type'),
      field(event, 'reason'),
      field(about, 'name') === '' ? kind : `${kind}/${field(about, 'name')}`,
      field(about, 'fieldPath'),
      host === '' ? source : `${source}, ${host}`,
      field(event, 'message').trim(),
      age(first, now),
      times,
      field(event, 'metadata', 'name'),
    ];
  },
};
