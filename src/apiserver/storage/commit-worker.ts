/** The thread that writes to the database: a commit waits for the disk, and the event loop must not. */
import { parentPort, workerData } from 'node:worker_threads';
import type { WorkerData, WorkerReply, WorkerRequest } from './committer.ts';
import { type LogRow, RevisionLog } from './revision-log.ts';

const port = parentPort;
if (port === null) throw new TypeError('commit-worker runs as a worker thread');
const { file, synchronous } = workerData as WorkerData;
const log = new RevisionLog(file, synchronous);
log.reserve();

function execute(request: WorkerRequest): void {
  switch (request.kind) {
    case 'append':
      log.append(rowsOf(request.cells));
      break;
    case 'compact':
      log.compact(request.revision);
      break;
    case 'close':
      log.close();
  }
}

function* rowsOf(cells: readonly (number | string | null)[]): Generator<LogRow> {
  for (let i = 0; i < cells.length; i += 3) {
    yield { revision: cells[i] as number, key: cells[i + 1] as string, value: cells[i + 2] as string | null };
  }
}

port.on('message', (request: WorkerRequest) => {
  let error: string | undefined;
  try {
    execute(request);
  } catch (thrown) {
    error = thrown instanceof Error ? thrown.message : String(thrown);
  }
  const reply: WorkerReply = error === undefined ? {} : { error };
  port.postMessage(reply);
  if (request.kind === 'close') port.close();
});
