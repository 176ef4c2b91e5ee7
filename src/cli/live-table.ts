/** The table of volumes and mounts that `up --live` and `up --until-ready` show. */
import { findCondition } from '../api/conditions.ts';
import {
  type ConditionedStatus,
  type KubeObjectBase,
  type ResourceDescriptor,
  VOLUME_MOUNTS,
  VOLUMES,
} from '../api/meta.ts';
import type { KubeClient } from '../kube/client.ts';
import { renderTable } from './output.ts';
import { pause } from './pause.ts';

const REFRESH_MS = 250;
const SHOWN: readonly ResourceDescriptor[] = [VOLUMES, VOLUME_MOUNTS];

type Listed = KubeObjectBase & { readonly status?: ConditionedStatus & { readonly phase?: string } };

interface Row {
  readonly object: string;
  readonly phase: string;
  readonly ready: boolean;
  readonly reason: string;
  readonly message: string;
}

/** When {@link showLiveTable} ends by itself. */
export interface UntilReady {
  /** What must be Ready; undefined = every volume and mount there is, of which there must be one. */
  readonly objects:
    | readonly { readonly kind: string; readonly namespace?: string | undefined; readonly name: string }[]
    | undefined;
  /** Whether a status can be believed: before that it may be of the last run. */
  caughtUp(): boolean;
}

export interface LiveTableOptions {
  readonly client: KubeClient;
  /** Where it is drawn; redrawn in place on a terminal, else one line per change. */
  readonly out: NodeJS.WriteStream;
  readonly signal: AbortSignal;
  readonly untilReady?: UntilReady;
}

/**
 * Draws until the signal aborts, or until what is waited for is Ready.
 * @returns what is not Ready in the end of that, one sentence each.
 */
export async function showLiveTable({ client, out, signal, untilReady }: LiveTableOptions): Promise<readonly string[]> {
  const draw = out.isTTY ? redrawInPlace(out) : printChanges(out);
  let rows: readonly Row[] | undefined;
  while (!signal.aborted) {
    const believable = untilReady?.caughtUp() ?? true;
    rows = (await readRows(client, signal).catch(() => undefined)) ?? rows;
    if (rows !== undefined) draw(rows);
    if (untilReady !== undefined && believable && rows !== undefined && missing(rows, untilReady).length === 0)
      return [];
    await pause(REFRESH_MS, signal);
  }
  if (untilReady === undefined) return [];
  if (rows === undefined) return ['the control plane did not answer'];
  const texts = missing(rows, untilReady);
  return texts.length > 0 ? texts : ['the agent has not looked at every object yet'];
}

function missing(rows: readonly Row[], { objects }: UntilReady): readonly string[] {
  if (objects === undefined && rows.length === 0) return ['there is no volume'];
  const wanted = objects?.filter(({ kind }) => SHOWN.some((resource) => resource.kind === kind)).map(nameOf);
  const gone = wanted?.filter((object) => !rows.some((row) => row.object === object)) ?? [];
  return [
    ...gone.map((object) => `${object}: it was deleted`),
    ...rows
      .filter(({ object, ready }) => !ready && (wanted?.includes(object) ?? true))
      .map(({ object, reason, message }) => `${object}: ${reason}: ${message}`),
  ];
}

async function readRows(client: KubeClient, signal: AbortSignal): Promise<readonly Row[]> {
  const lists = await Promise.all(SHOWN.map((resource) => client.list<Listed>(resource, { signal })));
  return lists.flatMap(({ items }) => items.map(rowOf));
}

function rowOf({ kind, metadata, status }: Listed): Row {
  const ready = findCondition(status?.conditions, 'Ready');
  const current = status?.observedGeneration === metadata.generation;
  return {
    object: nameOf({ kind, ...metadata }),
    phase: metadata.deletionTimestamp === undefined ? (status?.phase ?? 'Pending') : 'Deleting',
    ready: current && ready?.status === 'True',
    reason: ready?.reason ?? 'NotObserved',
    message: ready?.message ?? 'nothing has acted on it yet',
  };
}

function nameOf({
  kind,
  namespace,
  name,
}: {
  readonly kind: string;
  readonly namespace?: string | undefined;
  readonly name: string;
}): string {
  return `${kind} ${namespace}/${name}`;
}

const textOf = ({ phase, ready, reason }: Row): readonly string[] => [phase, ready ? 'True' : 'False', reason];

function redrawInPlace(out: NodeJS.WriteStream): (rows: readonly Row[]) => void {
  let last = '';
  return (rows) => {
    const text = renderTable(
      ['object', 'phase', 'ready', 'reason'],
      rows.map((row) => [row.object, ...textOf(row)]),
    );
    if (text === last) return;
    const up = last.split('\n').length - 1;
    out.write(`${up > 0 ? `\u001b[${up}A\u001b[0J` : ''}${text}`);
    last = text;
  };
}

function printChanges(out: NodeJS.WriteStream): (rows: readonly Row[]) => void {
  const printed = new Map<string, string>();
  const start = performance.now();
  return (rows) => {
    for (const row of rows) {
      const text = textOf(row).join(' ');
      if (printed.get(row.object) === text) continue;
      printed.set(row.object, text);
      const [phase, , reason] = textOf(row);
      const after = ((performance.now() - start) / 1000).toFixed(2);
      out.write(`${after.padStart(6)} s  ${row.object}: ${phase}${row.ready ? ', Ready' : `, not ready: ${reason}`}\n`);
    }
  };
}
