/** What a case is, and what comes out of it. */
import type { Scope } from './scope.ts';

export interface Options {
  readonly rounds: number;
  /** How long the idle case looks, in seconds. */
  readonly idleSeconds: number;
  /** Sizes that take long. */
  readonly full: boolean;
  /** Of the case scale, in place of its own numbers. */
  readonly nodes?: readonly number[];
  readonly volumesPerNode?: number;
}

export interface Context {
  readonly scope: Scope;
  readonly options: Options;
  /** Says how far it is. */
  readonly progress: (text: string) => void;
}

/** One row of the table. */
export interface Measurement {
  readonly name: string;
  /** What was measured, for people. */
  readonly title: string;
  readonly unit: 'ms' | '/s' | '%' | 'MiB' | 'writes' | 'objects';
  /** Every sample of ours, in the order in which they were taken. */
  readonly ours: readonly number[];
  /** Every sample of the same work done by hand or by a peer; taken between ours. */
  readonly other?: { readonly title: string; readonly samples: readonly number[] };
  /** The figure of a side that the goal is about. */
  readonly of: 'median' | 'p99' | 'max' | 'sum';
  readonly goal?: {
    readonly text: string;
    readonly limit: number;
    readonly on: 'value' | 'ratio';
    readonly above?: boolean;
  };
  /** Further facts: requests by what they wrote and the like. */
  readonly notes?: Readonly<Record<string, unknown>>;
}

export interface Case {
  readonly name: string;
  readonly run: (context: Context) => Promise<readonly Measurement[]>;
}
