/** A tree of any size, the same each time it is made: files small and large, hard links, attributes, holes. */
import { createCipheriv, createHash } from 'node:crypto';
import { linkSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setAttribute } from '../contract/hostile-tree.ts';

export interface DataSetSize {
  readonly files: number;
  /** Of content; holes come on top. */
  readonly bytes: number;
  /** Files alone: no links, attributes and holes. */
  readonly isPlain?: boolean;
}

const MIB = 1024 ** 2;
/** What is looked at in every run, and in the full one. */
export const SMALL_SET: DataSetSize = { files: 2_000, bytes: 100 * MIB };
export const FULL_SET: DataSetSize = { files: 100_000, bytes: 5 * 1024 * MIB };

const FILES_IN_DIRECTORY = 100;
/** Of so many files, one is large. */
const LARGE_OF = 100;
const LINKED_OF = 50;
const ATTRIBUTE_OF = 20;
const HOLE_OF = 500;
const HOLE_BYTES = 4 * MIB;

/** Makes it in an existing directory. Nothing in it can be compressed. @returns how many names it has, without directories. */
export function makeDataSet(root: string, { files, bytes, isPlain = false }: DataSetSize): number {
  const small = Array.from({ length: files }, (_, index) => (isLarge(index) ? 0 : smallSize(index)));
  const left = bytes - small.reduce((sum, size) => sum + size, 0);
  const large = Math.max(1, Math.floor(left / Math.ceil(files / LARGE_OF)));
  let names = files;
  for (let index = 0; index < files; index += 1) {
    const path = pathOf(root, index);
    if (index % FILES_IN_DIRECTORY === 0) mkdirSync(join(path, '..'), { recursive: true });
    const hasHole = !isPlain && index % HOLE_OF === 11;
    write(path, contentOf(index, isLarge(index) ? large : smallSize(index), 'first'), hasHole);
    if (isPlain) continue;
    if (index % ATTRIBUTE_OF === 3) setAttribute(path, 'user.number', Buffer.from(String(index)));
    if (index % LINKED_OF !== 7) continue;
    linkSync(path, `${path}-linked`);
    names += 1;
  }
  return names;
}

/** Writes one file of each hundred anew, as large as it was. @param version Whose content: each has other. */
export function changeDataSet(root: string, { files }: DataSetSize, version = 'second'): void {
  for (let index = 1; index < files; index += LARGE_OF) {
    write(pathOf(root, index), contentOf(index, smallSize(index), version), false);
  }
}

function isLarge(index: number): boolean {
  return index % LARGE_OF === 0;
}

function smallSize(index: number): number {
  return 1 + ((index * 7919) % 16_384);
}

function pathOf(root: string, index: number): string {
  return join(root, `d${Math.floor(index / FILES_IN_DIRECTORY)}`, `file ${index}`);
}

function contentOf(index: number, size: number, version: string): Buffer {
  const key = createHash('sha256').update(`${version} ${index}`).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

function write(path: string, content: Buffer, hasHole: boolean): void {
  if (!hasHole) return writeFileSync(path, content);
  writeFileSync(path, '');
  truncateSync(path, HOLE_BYTES);
  writeFileSync(path, content, { flag: 'a' });
}
