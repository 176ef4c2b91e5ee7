/** The thread that reads YAML: a text can be made so that it takes a minute, and the event loop must not. */
import { parentPort } from 'node:worker_threads';
import type { YamlReply } from './yaml.ts';
import { jsonOfYaml } from './yaml-text.ts';

const port = parentPort;
if (port === null) throw new TypeError('yaml-worker runs as a worker thread');
port.on('message', (text: string) => {
  let reply: YamlReply;
  try {
    reply = { read: jsonOfYaml(text) };
  } catch (thrown) {
    reply = { error: thrown instanceof Error ? thrown.message : String(thrown) };
  }
  port.postMessage(reply);
});
