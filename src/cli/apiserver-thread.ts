/**
 * Entry of the thread in which `clawstore up` runs the API server: a thread of its own, because controllers and agent on
 * one core and the server on another is twice as fast as all on one.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { giveBackMemoryWhenIdle } from './idle-memory.ts';
import { type ApiServerSettings, serveApi } from './serve-api.ts';

const port = parentPort;
if (port === null) throw new Error('this file is the entry of a worker thread');

const server = await serveApi(workerData as ApiServerSettings);
const rest = giveBackMemoryWhenIdle();
port.postMessage({ ready: true });
port.once('message', () => {
  rest();
  void server.close().finally(() => port.close());
});
