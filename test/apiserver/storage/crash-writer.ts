/** Writes to a store for ever, and says each revision as soon as it is acknowledged. Killed by crash.test.ts. */
import { writeSync } from 'node:fs';
import { Store } from '../../../src/apiserver/storage/store.ts';

const [file = '', writers = '4'] = process.argv.slice(2);
const store = new Store({ file });
const things = store.collection('g/things');

async function write(writer: number): Promise<never> {
  for (let count = 0; ; count++) {
    const key = `w${writer}-${count % 50}`;
    const { revision } = store.put(things, key, { metadata: { name: key }, count });
    await store.durable();
    writeSync(1, `${revision} ${key} ${count}\n`);
  }
}

await Promise.all(Array.from({ length: Number(writers) }, (_, writer) => write(writer)));
