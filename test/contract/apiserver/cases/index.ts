import { applies } from './apply.ts';
import { core } from './core.ts';
import { discovery } from './discovery.ts';
import { reads } from './reads.ts';
import { schema } from './schema.ts';
import type { Subject } from './support.ts';
import { volumes } from './volumes.ts';
import { writes } from './writes.ts';

/** All cases, by subject. */
export const SUBJECTS: readonly Subject[] = [discovery, volumes, writes, reads, schema, applies, core];
