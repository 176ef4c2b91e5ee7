/**
 * Objects as the product has really written them, one for each way in which a kind can be: what others make of them
 * (test/contract/gitops) is judged on these. Any run of end-to-end tests, or of those of reconcilers, adds what is new with
 * RECORD_OBJECTS=1.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConditionedStatus, KubeObjectBase } from '../../../src/api/meta.ts';

export type RecordedObject = KubeObjectBase & {
  readonly status?: ConditionedStatus & { readonly active?: readonly unknown[] };
};

export interface Recorded {
  /** What makes it different from the others of its kind. */
  readonly stage: string;
  readonly object: RecordedObject;
  /** What was made of it: `RECORD_HEALTH=1` writes these, people look at them. Absent: nobody has looked yet. */
  readonly kstatus?: string;
  readonly health?: string;
  readonly message?: string;
}

export const RECORDED_OBJECTS = join(import.meta.dirname, '../../contract/gitops/objects.jsonl');
const TELLING = ['Ready', 'Reconciling', 'Stalled', 'DeletionBlocked', 'Healthy', 'DataComplete'];
/** Reasons that make a difference to others. */
const SPECIAL = ['NodeLost', 'Paused', 'Suspended'];

export function readRecorded(): readonly Recorded[] {
  if (!existsSync(RECORDED_OBJECTS)) return [];
  const lines = readFileSync(RECORDED_OBJECTS, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Recorded);
}

export function writeRecorded(all: readonly Recorded[]): void {
  const title = ({ object, stage }: Recorded): string => `${object.kind} ${stage}`;
  const sorted = all.toSorted((a, b) => (title(a) < title(b) ? -1 : 1));
  writeFileSync(RECORDED_OBJECTS, sorted.map((one) => `${JSON.stringify(one)}\n`).join(''));
}

/** Adds an object to the file if that is asked for, unless one of its kind was seen in the same stage. */
export function recordObject(object: RecordedObject): void {
  if (process.env['RECORD_OBJECTS'] !== '1') return;
  const all = readRecorded();
  const stage = stageOf(object);
  if (all.some((one) => one.object.kind === object.kind && one.stage === stage)) return;
  writeRecorded([...all, { stage, object: lean(object) }]);
}

function stageOf({ metadata, status }: RecordedObject): string {
  const said = (status?.conditions ?? [])
    .filter(({ type }) => TELLING.includes(type))
    .map(({ type, status: word, reason }) => `${type}=${word}${SPECIAL.includes(reason) ? `/${reason}` : ''}`);
  const isOld = status !== undefined && status.observedGeneration !== metadata.generation;
  return [
    ...(metadata.deletionTimestamp === undefined ? [] : ['deleting']),
    ...(isOld ? ['an older generation observed'] : []),
    ...(said.length === 0 ? ['nothing said'] : said.toSorted()),
    ...((status?.active?.length ?? 0) > 0 ? ['active'] : []),
  ].join(', ');
}

/** Without what is different in each run and says nothing here. */
function lean({ apiVersion, kind, metadata, status }: RecordedObject): RecordedObject {
  const { name, generation, deletionTimestamp } = metadata;
  const root = process.env['TMPDIR'] ?? '';
  const clean = JSON.stringify(status ?? null).replaceAll(root === '' ? '\0' : root, '/run');
  const { observedGeneration, conditions, active } = (JSON.parse(clean) ?? {}) as NonNullable<RecordedObject['status']>;
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(generation === undefined ? {} : { generation }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    },
    ...(status === undefined
      ? {}
      : {
          status: {
            ...(observedGeneration === undefined ? {} : { observedGeneration }),
            ...(conditions === undefined ? {} : { conditions }),
            ...(active === undefined ? {} : { active }),
          },
        }),
  };
}
