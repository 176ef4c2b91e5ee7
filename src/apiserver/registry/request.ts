import type { Resource } from '../kinds/resource.ts';
import type { JsonObject } from '../schema/json-value.ts';
import type { Clock } from './clock.ts';

/** Who asks. */
export interface User {
  readonly name: string;
  readonly groups: readonly string[];
  /** What else is known of the credential (`authentication.k8s.io` UserInfo). */
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

/** A write whose outcome is known and not stored yet. */
export interface Attempt {
  readonly resource: Resource;
  readonly subresource: Subresource;
  /** The stored version; undefined for a new object. */
  readonly old: JsonObject | undefined;
  readonly object: JsonObject;
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
  /** Asked before anything else is said about the outcome. Throws StatusError (403) for what the user may not do. */
  readonly admit?: ((attempt: Attempt) => void) | undefined;
}

/** Which endpoint a write came through. */
export type Subresource = '' | 'status' | 'finalize';
