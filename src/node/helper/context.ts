import type { CopyProgress, OutputStream } from '../layer.ts';
import type { HelperSettings } from '../operations.ts';
import type { Libc } from './libc.ts';
import type { HelperTable } from './table.ts';

/** What every handler works with. The helper keeps no other state. */
export interface HelperContext {
  /** Throws `Unsupported` when touched on a machine where koffi does not load. */
  readonly libc: Libc;
  readonly table: HelperTable;
  readonly settings: HelperSettings;
}

/** Told to each request. */
export interface RequestContext {
  /** Aborted when the agent gave up or the deadline passed. */
  readonly signal: AbortSignal;
  /** Tells the caller how far the work is; absent where nobody listens. */
  readonly onProgress?: (progress: CopyProgress) => void;
  /** Passes on what a program says; resolves when the caller has taken it, which is when the next piece may come. */
  readonly output?: (stream: OutputStream, chunk: Uint8Array) => Promise<void>;
}
