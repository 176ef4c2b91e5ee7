import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { readYaml, YamlThread } from '../../../src/apiserver/http/yaml.ts';

/** A thread that answers at once and fails when the test says so. */
class FailingThread extends EventEmitter {
  ref = (): void => undefined;
  unref = (): void => undefined;
  terminate = (): Promise<number> => Promise.resolve(1);
  postMessage(text: string): void {
    setImmediate(() => this.emit('message', { read: { json: JSON.stringify(text), duplicates: [] } }));
  }
}

describe('reading YAML in a thread', () => {
  it('reads a long text', async () => {
    const { json } = await readYaml(`text: ${'x'.repeat(8 * 1024)}\n`);
    expect(JSON.parse(json))
      .to.have.property('text')
      .with.length(8 * 1024);
  });

  it('outlives a thread that runs out of memory after its answer, and starts another', async () => {
    const started: FailingThread[] = [];
    const thread = new YamlThread(() => {
      started.push(new FailingThread());
      return started.at(-1) as unknown as Worker;
    });
    expect((await thread.ask('one')).json).to.equal('"one"');
    started[0]?.emit('error', new Error('out of memory'));
    expect((await thread.ask('two')).json).to.equal('"two"');
    expect(started).to.have.length(2);
  });
});
