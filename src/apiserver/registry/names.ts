import { randomBytes } from 'node:crypto';

const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;
const MAX_BASE = 63 - SUFFIX_LENGTH;

/** A name for `metadata.generateName`: the prefix, cut so that a label is not too long, and 5 characters that spell nothing. */
export function generateName(prefix: string): string {
  const bytes = randomBytes(SUFFIX_LENGTH);
  let suffix = '';
  for (const byte of bytes) suffix += ALPHABET[byte % ALPHABET.length];
  return `${prefix.slice(0, MAX_BASE)}${suffix}`;
}
