/** Writes to a store for ever, or so many times, and says each revision as soon as it is acknowledged; ends when killed. */
import { writeSync } from 'node:fs';
import { Store } from '../../../src/apiserver/storage/store.ts';

const [file = '', writers = '4', most = 'Infinity'] = process.argv.slice(2);
const store = new Store({ file });
const things = store.collection('g/things');

async function write(writer: number): Promise<void> {
  for (let count = 0; count < Number(most); count++) {
    const key = `w${writer}-${count % 50}`;
    const { revision } = store.put(things, key, { metadata: { name: key }, count });
    await store.durable();
    writeSync(1, `${revision} ${key} ${count}\n`);
  }
}

await Promise.all(Array.from({ length: Number(writers) }, (_, writer) => write(writer)));
setInterval(() => undefined, 60_000);
