/**
 * Writes numbered blocks with checksums, one after the other, without ever asking for them to be on disk, and reads what a
 * moment of them holds. In a moment without half writes, the slots hold one unbroken run of numbers.
 *
 *   node numbered-writer.ts DIRECTORY    writes until it is killed
 */
import { openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

const FILES = 4;
const SLOTS = 32_768;
const BLOCK = 1024;

function fileOf(directory: string, index: number): string {
  return join(directory, `blocks-${index}`);
}

function blockOf(number: number): Buffer {
  const block = Buffer.alloc(BLOCK, number % 251);
  block.writeBigUInt64LE(BigInt(number), 0);
  block.writeUInt32LE(crc32(block.subarray(0, BLOCK - 4)), BLOCK - 4);
  return block;
}

function write(directory: string): never {
  const fds = Array.from({ length: FILES }, (_, index) => openSync(fileOf(directory, index), 'w'));
  for (let number = 1; ; number += 1) {
    const slot = number % SLOTS;
    const fd = fds[slot % FILES] ?? 0;
    writeSync(fd, blockOf(number), 0, BLOCK, Math.floor(slot / FILES) * BLOCK);
  }
}

/** The highest number of a moment. @throws Error naming what is torn, missing or half. */
export function verifyBlocks(directory: string): number {
  const numbers: number[] = [];
  for (let index = 0; index < FILES; index += 1) {
    const content = readFileSync(fileOf(directory, index));
    if (content.length % BLOCK !== 0) throw new Error(`file ${index} ends in half a block: ${content.length} bytes`);
    for (let at = 0; at < content.length; at += BLOCK) {
      const block = content.subarray(at, at + BLOCK);
      const number = Number(block.readBigUInt64LE(0));
      // Slot 0 of all is written last of the first round.
      if (number === 0 && block.every((byte) => byte === 0) && at === 0 && index === 0) continue;
      if (!block.equals(blockOf(number))) throw new Error(`block ${at / BLOCK} of file ${index} is torn (${number})`);
      numbers.push(number);
    }
  }
  numbers.sort((one, other) => one - other);
  const [first = 0, last = 0] = [numbers[0], numbers.at(-1)];
  if (last - first + 1 !== numbers.length) {
    throw new Error(`${numbers.length} blocks from ${first} to ${last}: some are missing`);
  }
  if (last >= SLOTS ? numbers.length !== SLOTS : first !== 1) {
    throw new Error(`the run from ${first} to ${last} does not begin where it must`);
  }
  return last;
}

if (process.argv[1] === import.meta.filename) write(process.argv[2] ?? '.');
