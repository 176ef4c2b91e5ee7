/** `clawstore … list`, once or with `--watch`. */
import { keyOf } from '../api/meta.ts';
import { type Listed, type Listing, type Listings, type ReadContext, rowsOf } from '../commands/listing.ts';
import { fromKube } from '../commands/wait.ts';
import { KubeError } from '../kube/errors.ts';
import { answer, reportErrors, targetOf } from './answer.ts';
import type { Asked } from './client-options.ts';
import { connectToTarget } from './connect.ts';
import { ExitCode } from './exit-code.ts';
import { interruptible } from './interruptible.ts';
import { isForPrograms, RowPrinter, render, type TableView } from './output.ts';
import { pause } from './pause.ts';

const RETRY_MS = 1000;
/** The server sends a bookmark about once a minute; a connection that is silent for longer is dead. */
const IDLE_MS = 150_000;
const WATCH_SECONDS = 300;

export interface ListOptions<Params> {
  readonly params: Params;
  readonly watch: boolean;
}

/** A list, or several that are shown as one. */
type Source<Params, T extends Listed, Row, Result> = Listing<Params, T, Row, Result> | Listings<Params, T, Row, Result>;

/** Prints the objects that a listing selects; with `watch` also each that changes, until it is interrupted. */
export function list<Params, T extends Listed, Row, Result>(
  asked: Asked,
  source: Source<Params, T, Row, Result>,
  view: TableView<Row>,
  { params, watch }: ListOptions<Params>,
): Promise<ExitCode> {
  const listings: Listings<Params, T, Row, Result> = typeof source === 'function' ? source : async () => [source];
  return watch ? follow(asked, listings, view, params) : once(asked, listings, view, params);
}

function once<Params, T extends Listed, Row, Result>(
  asked: Asked,
  listings: Listings<Params, T, Row, Result>,
  view: TableView<Row>,
  params: Params,
): Promise<ExitCode> {
  return answer(asked, async (context) => {
    const { format } = asked;
    const all = await listings(context);
    const rows = (await Promise.all(all.map((listing) => rowsOf(listing, params, context)))).flat();
    if (isForPrograms(format)) return render(all[0]?.resultOf(rows), format);
    if (rows.length === 0) {
      const kinds = all.map(({ resource }) => resource.plural).join(' or ');
      process.stderr.write(`No ${kinds} found in namespace ${context.namespace}.\n`);
    }
    return new RowPrinter(view, format).print(rows);
  });
}

/** A table that grows; in the formats that programs read, one document for each change. */
function follow<Params, T extends Listed, Row, Result>(
  { settings, format }: Asked,
  listings: Listings<Params, T, Row, Result>,
  view: TableView<Row>,
  params: Params,
): Promise<ExitCode> {
  return interruptible((interrupted) =>
    reportErrors(format, async () => {
      const { client, namespace } = await connectToTarget(targetOf(settings));
      const printer = new RowPrinter(view, format);
      const print = async (rows: readonly Row[]): Promise<void> => {
        process.stdout.write(isForPrograms(format) ? await documents(rows, format) : printer.print(rows));
      };
      const failed = new AbortController();
      const context = { client, namespace, signal: AbortSignal.any([interrupted, failed.signal]) };
      try {
        const all = await listings(context);
        await Promise.all(all.map((listing) => followOne(listing, params, context, print)));
        return ExitCode.ok;
      } finally {
        failed.abort();
        await client.close();
      }
    }),
  );
}

/** Until the signal. @throws CommandError when it cannot begin, or must not go on. */
async function followOne<Params, T extends Listed, Row>(
  { resource, select, rowOf, compare, wants = () => true }: Listing<Params, T, Row, unknown>,
  params: Params,
  { client, namespace, signal }: ReadContext,
  print: (rows: readonly Row[]) => Promise<void>,
): Promise<void> {
  const printed = new Map<string, string>();
  const show = (objects: readonly T[], isGone = false): Promise<void> => {
    const changed = objects.flatMap((object) => {
      const row = rowOf(object, isGone);
      const text = JSON.stringify(row);
      if (!wants(row, params) || printed.get(keyOf(object)) === text) return [];
      if (isGone) printed.delete(keyOf(object));
      else printed.set(keyOf(object), text);
      return [row];
    });
    return print(changed);
  };
  const selection = { namespace, ...select(params) };
  let isRunning = false;
  while (!signal.aborted) {
    try {
      const { items, resourceVersion } = await client.list<T>(resource, { ...selection, signal });
      await show(items.toSorted(compare));
      isRunning = true;
      const options = { ...selection, resourceVersion, idleMs: IDLE_MS, timeoutSeconds: WATCH_SECONDS, signal };
      for await (const event of client.watch<T>(resource, options)) {
        if (event.type !== 'BOOKMARK') await show([event.object], event.type === 'DELETED');
      }
    } catch (thrown) {
      if (signal.aborted) break;
      if (!(thrown instanceof KubeError)) throw thrown;
      if (!isRunning || !(thrown.isRetryable || thrown.isExpired)) throw fromKube(thrown);
      await pause(RETRY_MS, signal);
    }
  }
}

async function documents(rows: readonly unknown[], format: 'json' | 'yaml'): Promise<string> {
  if (format === 'json') return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  const texts = await Promise.all(rows.map((row) => render(row, format)));
  return texts.map((text) => `---\n${text}`).join('');
}
