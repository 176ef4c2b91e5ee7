/** Trees with everything in them that a copy may lose, and what can be seen of a tree. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  type BigIntStats,
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

interface Koffi {
  load(path: null): { func(name: string, result: string, args: readonly string[]): (...args: unknown[]) => number };
}

const lib = (createRequire(import.meta.url)('koffi') as Koffi).load(null);
const set = lib.func('lsetxattr', 'int', ['str', 'str', 'void *', 'size_t', 'int']);
const get = lib.func('lgetxattr', 'int64_t', ['str', 'str', 'void *', 'size_t']);
const list = lib.func('llistxattr', 'int64_t', ['str', 'void *', 'size_t']);

export function setXattr(path: string, name: string, value: Buffer): void {
  if (set(path, name, value, value.length, 0) !== 0) throw new Error(`${path} takes no ${name}`);
}

/** A name with a newline, and one that is not UTF-8. */
export const ODD_NAMES: readonly Buffer[] = [
  Buffer.from('two\nlines \'and" quotes\\'),
  Buffer.from([0x66, 0xff, 0xfe, 0x20, 0x2d]),
  Buffer.from('-rf'),
];

/** Fills a directory; `bytes` of data besides. */
export function fillOddly(directory: string, bytes = 100_000): void {
  const at = (name: string): string => join(directory, name);
  mkdirSync(at('deep/er'), { recursive: true });
  mkdirSync(at('empty'), { mode: 0o1777 });
  writeFileSync(at('file'), Buffer.alloc(bytes, 'content'));
  writeFileSync(at('deep/er/secret'), 'x', { mode: 0o400 });
  chownSync(at('deep/er/secret'), 1234, 5678);
  linkSync(at('file'), at('deep/hard link'));
  symlinkSync('../nowhere', at('deep/link'));
  execFileSync('mkfifo', [at('fifo')]);
  execFileSync('mknod', [at('device'), 'c', '1', '3']);
  writeFileSync(at('sparse'), '');
  const sparse = openSync(at('sparse'), 'r+');
  writeSync(sparse, 'tail', 8_000_000);
  closeSync(sparse);
  truncateSync(at('sparse'), 9_000_000);
  for (const name of ODD_NAMES) writeFileSync(Buffer.concat([Buffer.from(`${directory}/`), name]), name);
  setXattr(at('file'), 'user.note', Buffer.from('kept'));
  setXattr(at('deep'), 'user.note', Buffer.from('of a directory'));
  setXattr(at('deep/er/secret'), 'system.posix_acl_access', ACL);
  setXattr(directory, 'system.posix_acl_default', ACL);
  writeFileSync(at('capable'), '#!', { mode: 0o755 });
  setXattr(at('capable'), 'security.capability', CAPABILITY);
  writeFileSync(at('setuid'), '', { mode: 0o755 });
  chmodSync(at('setuid'), 0o4755);
  utimesSync(at('file'), 1_000_000_000, 1_000_000_000.25);
  utimesSync(at('deep'), 1_000_000_001, 1_000_000_001);
  chmodSync(directory, 0o2770);
  chownSync(directory, 1000, 1001);
  utimesSync(directory, 1_000_000_002, 1_000_000_002);
}

/** Everything that a faithful copy has in common with its source, by path in Latin-1. */
export function seenOf(directory: string, exclude: readonly string[] = []): Record<string, unknown> {
  const links = new Map<bigint, string>();
  const found: Record<string, unknown> = {};
  const visit = (path: Buffer, name: string): void => {
    const stat = lstatSync(path, { bigint: true });
    found[name] = {
      ...identityOf(stat),
      sameAs: stat.isDirectory() ? undefined : (links.get(stat.ino) ?? name),
      xattrs: xattrsOf(path),
      ...(stat.isSymbolicLink() ? { to: readlinkSync(path, 'latin1') } : {}),
      ...(stat.isFile() ? { data: digestOf(path), hasHoles: stat.blocks * 512n < stat.size - 65_536n } : {}),
    };
    links.set(stat.ino, (found[name] as { sameAs?: string }).sameAs ?? name);
    if (!stat.isDirectory()) return;
    for (const child of readdirSync(path, { encoding: 'buffer' }).sort(Buffer.compare)) {
      const childName = `${name}/${child.toString('latin1')}`;
      if (!exclude.includes(childName)) visit(Buffer.concat([path, Buffer.from('/'), child]), childName);
    }
  };
  visit(Buffer.from(directory), '.');
  return found;
}

function identityOf(stat: BigIntStats): Record<string, unknown> {
  const { mode, uid, gid, nlink, rdev, mtimeNs } = stat;
  const isDirectory = stat.isDirectory();
  return { mode, uid, gid, rdev, mtimeNs, ...(isDirectory ? {} : { nlink, size: stat.size }) };
}

function digestOf(path: Buffer): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex');
}

function xattrsOf(path: Buffer): Record<string, string> {
  const terminated = Buffer.concat([path, Buffer.alloc(1)]);
  const names = Buffer.alloc(65_536);
  const length = list(terminated, names, names.length);
  if (length <= 0) return {};
  const all = names.toString('latin1', 0, length).split('\0').filter(Boolean).sort();
  return Object.fromEntries(
    all.map((name) => {
      const value = Buffer.alloc(65_536);
      return [name, value.toString('hex', 0, Math.max(0, get(terminated, name, value, value.length)))];
    }),
  );
}

/** `struct posix_acl_xattr`: version 2; user::rwx user:1234:r-- group::r-x mask::r-x other::--- */
const ACL = Buffer.from(
  ['02000000', '01000700ffffffff', '02000400d2040000', '04000500ffffffff', '10000500ffffffff', '20000000ffffffff'].join(
    '',
  ),
  'hex',
);

/** `struct vfs_cap_data`, revision 2: CAP_NET_RAW, effective and permitted. */
const CAPABILITY = Buffer.from(['01000002', '00200000', '00000000', '00000000', '00000000'].join(''), 'hex');
