/** A tree with all that a copy could lose, and what can be seen of it. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  constants,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { TreeFeature } from './snapshot-contract.ts';

const HOLE_BYTES = 4 * 1024 * 1024;
/** What a filesystem may round up. */
const SLACK = 65_536n;
const SLASH = Buffer.from('/');
const NUL = Buffer.from([0]);

/** Makes it in an existing directory. */
export function makeHostileTree(root: string, lacks: readonly TreeFeature[]): void {
  const has = (feature: TreeFeature): boolean => !lacks.includes(feature);
  const at = (...names: readonly string[]): string => join(root, ...names);
  mkdirSync(at('deep', 'er', 'and deeper'), { recursive: true });
  if (has('emptyDirectories')) mkdirSync(at('empty'));
  writeFileSync(at('deep', 'er', 'and deeper', 'file'), 'deep');
  for (const name of [
    ...(has('newlines') ? ['new\nline'] : []),
    ' spaces ',
    '-rf',
    '--',
    '*',
    "quote's",
    '"',
    '\\',
    '$(id)',
    'ünïcødé',
    '.hidden',
  ]) {
    writeFileSync(at(name), name);
  }
  writeFileSync(at('x'.repeat(255)), 'longest');
  // No UTF-8: such names exist, and Node's strings cannot hold them.
  writeFileSync(Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0x66, 0xff, 0xfe])]), 'bytes');
  if (has('hardLinks')) {
    writeFileSync(at('linked'), 'one inode');
    linkSync(at('linked'), at('deep', 'link'));
  }
  if (has('holes')) {
    writeFileSync(at('sparse'), 'start');
    truncateSync(at('sparse'), HOLE_BYTES);
    writeFileSync(at('sparse'), 'end', { flag: 'a' });
  }
  if (has('symlinks')) {
    symlinkSync('nowhere', at('dangling'));
    symlinkSync('/etc/hostname', at('absolute'));
    symlinkSync('../..', at('deep', 'up'));
  }
  if (has('fifos')) execFileSync('mkfifo', [at('fifo')]);
  if (has('xattrs')) setAttribute(at('deep'), 'trusted.clawstore', Buffer.from('kept\0too'));
  if (has('owners')) {
    execFileSync('chown', ['12345:54321', at('.hidden'), at('deep')]);
    if (has('symlinks')) execFileSync('chown', ['-h', '7:8', at('dangling')]);
  }
  if (has('modes')) {
    execFileSync('chmod', ['4751', at('*')]);
    execFileSync('chmod', ['0000', at('--')]);
    execFileSync('chmod', ['3770', at('deep')]);
  }
  if (has('times')) utimesSync(at('deep', 'er'), 1_000_000_000, 1_234_567_890);
}

/** One line for each thing in a tree, in a fixed order: all that a copy must keep. */
export function filesOf(root: string, lacks: readonly TreeFeature[]): readonly string[] {
  const has = (feature: TreeFeature): boolean => !lacks.includes(feature);
  const firstNames = new Map<bigint, string>();
  const lines: string[] = [];
  const show = (path: Buffer, name: string): void => {
    const stat = lstatSync(path, { bigint: true });
    const facts: string[] = [name, String(stat.mode & BigInt(constants.S_IFMT))];
    if (has('modes')) facts.push(`mode ${stat.mode.toString(8)}`);
    if (has('owners')) facts.push(`owner ${stat.uid}:${stat.gid}`);
    const hasTimes = has('times') && (has('linkTimes') || !stat.isSymbolicLink());
    if (hasTimes && name !== '.') facts.push(`time ${stat.mtimeNs}`);
    if (has('xattrs')) facts.push(...attributesOf(path));
    if (has('hardLinks') && !stat.isDirectory()) {
      if (!firstNames.has(stat.ino)) firstNames.set(stat.ino, name);
      facts.push(`inode of ${firstNames.get(stat.ino)}`);
    }
    if (stat.isSymbolicLink()) facts.push(`to ${readlinkSync(path, { encoding: 'latin1' })}`);
    if (stat.isFile()) {
      facts.push(`${stat.size} bytes ${createHash('sha256').update(readFileSync(path)).digest('hex')}`);
      if (has('holes')) facts.push(stat.blocks * 512n + SLACK < stat.size ? 'with holes' : 'without holes');
    }
    lines.push(facts.join(' | '));
    if (!stat.isDirectory()) return;
    const entries = readdirSync(path, { encoding: 'buffer' }).toSorted((one, other) => one.compare(other));
    for (const entry of entries) show(Buffer.concat([path, SLASH, entry]), `${name}/${entry.toString('latin1')}`);
  };
  show(Buffer.from(root), '.');
  return lines;
}

type Native = (...args: readonly unknown[]) => number;

/** xattr(7); Node has no calls for it. */
const native = ((): { readonly set: Native; readonly list: Native; readonly get: Native } => {
  const koffi = createRequire(import.meta.url)('koffi') as {
    load(path: null): { func(name: string, result: string, args: readonly string[]): Native };
  };
  const lib = koffi.load(null);
  return {
    set: lib.func('setxattr', 'int', ['str', 'str', 'void *', 'size_t', 'int']),
    list: lib.func('llistxattr', 'long', ['void *', 'void *', 'size_t']),
    get: lib.func('lgetxattr', 'long', ['void *', 'void *', 'void *', 'size_t']),
  };
})();

/** xattr(7). */
export function setAttribute(path: string, name: string, value: Buffer): void {
  if (native.set(path, name, value, value.length, 0) !== 0) throw new Error(`${path} cannot have ${name}`);
}

function attributesOf(path: Buffer): readonly string[] {
  const file = Buffer.concat([path, NUL]);
  const buffer = Buffer.alloc(65_536);
  const names = buffer
    .toString('latin1', 0, native.list(file, buffer, buffer.length))
    .split('\0')
    .filter(Boolean);
  return names.toSorted().map((name) => {
    const length = native.get(file, Buffer.from(`${name}\0`, 'latin1'), buffer, buffer.length);
    return `${name}=${buffer.toString('hex', 0, Math.max(0, length))}`;
  });
}
