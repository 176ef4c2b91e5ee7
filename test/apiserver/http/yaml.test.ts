import { EventEmitter } from 'node:events';
import type { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { readYaml, YamlError, YamlThread } from '../../../src/apiserver/http/yaml.ts';

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
  it('reads one long text after another, and says what is wrong with one', async () => {
    const long = (letter: string): string => `text: ${letter.repeat(8 * 1024)}\n`;
    for (const letter of ['x', 'y', 'z']) {
      expect(JSON.parse((await readYaml(long(letter))).json)).to.deep.equal({ text: letter.repeat(8 * 1024) });
    }
    const thrown = await readYaml(`${'- x\n'.repeat(4 * 1024)}a: b\n`).catch((error: unknown) => error);
    expect(thrown).to.be.instanceOf(YamlError).with.property('message').that.includes('at line 4097');
    expect(JSON.parse((await readYaml(long('a'))).json)).to.have.property('text');
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
