/** Mount options as words and as the bits of mount_setattr(2) and statfs(2). */
import { NodeError } from '../node-error.ts';
import { MOUNT_ATTR, MOUNT_ATTR_ATIME_MASK } from './libc.ts';

/** Word, bit of `struct mount_attr`, bit of `f_flags`; in the order in which mountinfo shows them. */
const WORDS = [
  ['nosuid', MOUNT_ATTR.nosuid, 0x2],
  ['nodev', MOUNT_ATTR.nodev, 0x4],
  ['noexec', MOUNT_ATTR.noexec, 0x8],
  ['noatime', MOUNT_ATTR.noatime, 0x400],
  ['nodiratime', MOUNT_ATTR.nodiratime, 0x800],
  ['relatime', 0, 0x1000],
  ['nosymfollow', MOUNT_ATTR.nosymfollow, 0x2000],
] as const;

const ATIME_WORDS = new Set(['noatime', 'relatime', 'strictatime']);
const STRICTATIME = 0x20;

export interface Attributes {
  readonly set: number;
  readonly clear: number;
  readonly readOnly: boolean;
  /** `f_flags` bits that must be there afterwards. */
  readonly expected: number;
}

/** Throws `InvalidRequest` for a word that is not an attribute of a mount. */
export function attributesOf(options: readonly string[], readOnly: boolean): Attributes {
  let set = readOnly ? MOUNT_ATTR.ro : 0;
  let expected = readOnly ? 1 : 0;
  let clear = 0;
  for (const option of options) {
    if (option === 'rw' || option === 'ro') continue;
    if (ATIME_WORDS.has(option)) clear |= MOUNT_ATTR_ATIME_MASK;
    if (option === 'strictatime') {
      set |= STRICTATIME;
      continue;
    }
    const word = WORDS.find(([name]) => name === option);
    if (word === undefined) {
      throw new NodeError('InvalidRequest', `${JSON.stringify(option)} is not an option of a bind mount`);
    }
    set |= word[1];
    expected |= word[2];
  }
  return { set, clear, readOnly, expected };
}

/** `f_flags` of a mount with this options field in mountinfo. */
export function flagsOf(options: readonly string[]): number {
  const own = WORDS.reduce((flags, [name, , flag]) => (options.includes(name) ? flags | flag : flags), 0);
  return options.includes('ro') ? own | 1 : own;
}

/** The options field of mountinfo for a mount with these `f_flags`. */
export function optionWords(flags: number): string[] {
  const words: string[] = [(flags & 1) === 0 ? 'rw' : 'ro'];
  for (const [name, , flag] of WORDS) {
    if ((flags & flag) !== 0) words.push(name);
  }
  return words;
}
