/**
 * Writes all the time, as a workload does, and measures how long it was made to wait.
 *
 *   node stalls.ts FILE
 *
 * Each line on standard input is answered with the longest write since the last one, in milliseconds.
 */
import { openSync, writeSync } from 'node:fs';

const BLOCK = Buffer.alloc(4096, 1);
const BLOCKS = 4096;
/** Writes in one turn, between which it listens. */
const TURN = 20;
const PAUSE_MS = 1;

const fd = openSync(process.argv[2] ?? '', 'w');
let [next, longest] = [0, 0];

function writeSome(): void {
  for (let index = 0; index < TURN; index += 1) {
    const start = performance.now();
    writeSync(fd, BLOCK, 0, BLOCK.length, (next % BLOCKS) * BLOCK.length);
    longest = Math.max(longest, performance.now() - start);
    next += 1;
  }
}

process.stdin.on('data', () => {
  // What waits now counts too: nothing is read while it does.
  writeSome();
  process.stdout.write(`${longest.toFixed(3)}\n`);
  longest = 0;
});
process.stdin.on('end', () => process.exit(0));
setInterval(writeSome, PAUSE_MS);
