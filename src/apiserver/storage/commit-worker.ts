/** The thread that writes to the database: a commit waits for the disk, and the event loop must not. */
import { parentPort, workerData } from 'node:worker_threads';
import type { WorkerData, WorkerReply, WorkerRequest } from './committer.ts';
import { RevisionLog } from './revision-log.ts';

const port = parentPort;
if (port === null) throw new TypeError('commit-worker runs as a worker thread');
const { file, synchronous } = workerData as WorkerData;
const log = new RevisionLog(file, synchronous);

function execute(request: WorkerRequest): void {
  switch (request.kind) {
    case 'append':
      log.append(request.rows);
      break;
    case 'compact':
      log.compact(request.revision);
      break;
    case 'backup':
      log.backup(request.file);
      break;
    case 'close':
      log.close();
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
