/** The thread that reads and writes YAML: a text can be made so that it takes a minute, and the event loop must not. */
import { parentPort } from 'node:worker_threads';
import type { YamlReply, YamlRequest } from './yaml.ts';
import { jsonOfYaml, yamlOfJson } from './yaml-text.ts';

const port = parentPort;
if (port === null) throw new TypeError('yaml-worker runs as a worker thread');
port.on('message', ({ kind, text }: YamlRequest) => {
  let reply: YamlReply;
  try {
    reply = kind === 'read' ? { read: jsonOfYaml(text) } : { written: yamlOfJson(text) };
  } catch (thrown) {
    reply = { error: thrown instanceof Error ? thrown.message : String(thrown) };
  }
  port.postMessage(reply);
});
