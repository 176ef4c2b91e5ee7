import type { Clock } from './clock.ts';

/** Who asks. */
export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

/** How unknown and duplicate fields are treated. */
export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

/** What a write is told besides its object. */
export interface WriteContext {
  readonly user: User;
  readonly dryRun: boolean;
  readonly fieldValidation: FieldValidation;
  /** The name under which `managedFields` records the writer. */
  readonly fieldManager: string;
  /** Texts for Warning headers; a write adds to them. */
  readonly warnings: string[];
  readonly clock: Clock;
}

/** Which endpoint a write came through. */
export type Subresource = '' | 'status' | 'finalize';
