/** `clawstore … list`, once or with `--watch`. */
import { keyOf } from '../api/meta.ts';
import { type Listed, type Listing, rowsOf } from '../commands/listing.ts';
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

/** Prints the objects that a listing selects; with `watch` also each that changes, until it is interrupted. */
export function list<Params, T extends Listed, Row, Result>(
  asked: Asked,
  listing: Listing<Params, T, Row, Result>,
  view: TableView<Row>,
  { params, watch }: ListOptions<Params>,
): Promise<ExitCode> {
  return watch ? follow(asked, listing, view, params) : once(asked, listing, view, params);
}

function once<Params, T extends Listed, Row, Result>(
  asked: Asked,
  listing: Listing<Params, T, Row, Result>,
  view: TableView<Row>,
  params: Params,
): Promise<ExitCode> {
  return answer(asked, async (context) => {
    const { format } = asked;
    const rows = await rowsOf(listing, params, context);
    if (isForPrograms(format)) return render(listing.resultOf(rows), format);
    if (rows.length === 0)
      process.stderr.write(`No ${listing.resource.plural} found in namespace ${context.namespace}.\n`);
    return new RowPrinter(view, format).print(rows);
  });
}

/** A table that grows; in the formats that programs read, one document for each change. */
function follow<Params, T extends Listed, Row, Result>(
  { settings, format }: Asked,
  { resource, select, rowOf, compare }: Listing<Params, T, Row, Result>,
  view: TableView<Row>,
  params: Params,
): Promise<ExitCode> {
  return interruptible((signal) =>
    reportErrors(format, async () => {
      const { client, namespace } = await connectToTarget(targetOf(settings));
      const printer = new RowPrinter(view, format);
      const printed = new Map<string, string>();
      const show = async (objects: readonly T[], isGone = false): Promise<void> => {
        const changed = objects.flatMap((object) => {
          const row = rowOf(object, isGone);
          const text = JSON.stringify(row);
          if (printed.get(keyOf(object)) === text) return [];
          if (isGone) printed.delete(keyOf(object));
          else printed.set(keyOf(object), text);
          return [row];
        });
        process.stdout.write(isForPrograms(format) ? await documents(changed, format) : printer.print(changed));
      };
      const selection = { namespace, ...select(params) };
      let isRunning = false;
      try {
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
        return ExitCode.ok;
      } finally {
        await client.close();
      }
    }),
  );
}

async function documents(rows: readonly unknown[], format: 'json' | 'yaml'): Promise<string> {
  if (format === 'json') return rows.map((row) => `${JSON.stringify(row)}\n`).join('');
  const texts = await Promise.all(rows.map((row) => render(row, format)));
  return texts.map((text) => `---\n${text}`).join('');
}
