import { isObject, type Json, type JsonObject } from '../schema/json-value.ts';
import type { View } from './resource.ts';

/** events.k8s.io/v1 name → core/v1 name, for the fields that differ (kubernetes, `pkg/apis/events/v1/conversion.go`). */
const RENAMED: ReadonlyMap<string, string> = new Map([
  ['regarding', 'involvedObject'],
  ['note', 'message'],
  ['deprecatedSource', 'source'],
  ['deprecatedFirstTimestamp', 'firstTimestamp'],
  ['deprecatedLastTimestamp', 'lastTimestamp'],
  ['deprecatedCount', 'count'],
  ['reportingController', 'reportingComponent'],
]);

const BACK: ReadonlyMap<string, string> = new Map([...RENAMED].map(([view, core]) => [core, view]));

function rename(object: JsonObject, names: ReadonlyMap<string, string>, apiVersion: string): JsonObject {
  const result: JsonObject = { kind: 'Event', apiVersion };
  for (const key of Object.keys(object)) {
    if (key === 'kind' || key === 'apiVersion') continue;
    result[names.get(key) ?? key] = object[key] as Json;
  }
  return result;
}

/** Events are stored as core/v1; this is how events.k8s.io/v1 shows the same objects. */
export const EVENTS_VIEW: View = {
  toStored: (object) => ({
    involvedObject: {},
    source: {},
    firstTimestamp: null,
    lastTimestamp: null,
    eventTime: null,
    reportingComponent: '',
    reportingInstance: '',
    ...rename(object, RENAMED, 'v1'),
  }),
  fromStored: (object) => {
    const view = rename(object, BACK, 'events.k8s.io/v1');
    for (const key of ['reportingController', 'reportingInstance']) if (view[key] === '') delete view[key];
    return view;
  },
};

/** The time that orders an event for people: the newest one it has. */
export function lastSeen(event: JsonObject): string | undefined {
  const { series } = event;
  const candidates = [
    isObject(series) ? series['lastObservedTime'] : undefined,
    event['lastTimestamp'],
    event['firstTimestamp'],
    event['eventTime'],
    (event['metadata'] as JsonObject)['creationTimestamp'],
  ];
  return candidates.find((value): value is string => typeof value === 'string');
}
