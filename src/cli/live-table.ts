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

const REFRESH_MS = 250;

type Listed = KubeObjectBase & { readonly status?: ConditionedStatus & { readonly phase?: string } };

interface Row {
  readonly object: string;
  readonly phase: string;
  readonly ready: boolean;
  readonly reason: string;
  readonly message: string;
}

export interface LiveTableOptions {
  readonly client: KubeClient;
  /** Where it is drawn; redrawn in place on a terminal, else one line per change. */
  readonly out: NodeJS.WriteStream;
  readonly signal: AbortSignal;
  /** Ends when every object is Ready. */
  readonly untilReady: boolean;
}

/**
 * Draws until the signal aborts, or until everything is Ready.
 * @returns what is not Ready in the end, one sentence each.
 */
export async function showLiveTable({ client, out, signal, untilReady }: LiveTableOptions): Promise<readonly string[]> {
  const draw = out.isTTY ? redrawInPlace(out) : printChanges(out);
  let rows: readonly Row[] | undefined;
  while (!signal.aborted) {
    rows = await readRows(client, signal).catch(() => rows);
    if (rows !== undefined) draw(rows);
    if (untilReady && rows !== undefined && rows.length > 0 && rows.every(({ ready }) => ready)) return [];
    await pause(REFRESH_MS, signal);
  }
  if (rows === undefined) return ['the control plane did not answer'];
  if (rows.length === 0) return ['there is no volume'];
  return rows.filter(({ ready }) => !ready).map(({ object, reason, message }) => `${object}: ${reason}: ${message}`);
}

async function readRows(client: KubeClient, signal: AbortSignal): Promise<readonly Row[]> {
  const kinds: readonly ResourceDescriptor[] = [VOLUMES, VOLUME_MOUNTS];
  const lists = await Promise.all(kinds.map((resource) => client.list<Listed>(resource, { signal })));
  return lists.flatMap(({ items }) => items.map(rowOf));
}

function rowOf({ kind, metadata, status }: Listed): Row {
  const ready = findCondition(status?.conditions, 'Ready');
  const current = status?.observedGeneration === metadata.generation;
  return {
    object: `${kind} ${metadata.namespace}/${metadata.name}`,
    phase: metadata.deletionTimestamp === undefined ? (status?.phase ?? 'Pending') : 'Deleting',
    ready: current && ready?.status === 'True',
    reason: ready?.reason ?? 'Pending',
    message: ready?.message ?? 'nothing has acted on it yet',
  };
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

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      resolve();
    };
    const timer = setTimeout(finish, ms);
    signal.addEventListener('abort', finish, { once: true });
  });
}
