/** Server-side apply and field ownership: pure functions over plain JSON objects. */
export { type ApplyOptions, type ApplyResult, applyPatch } from './apply-patch.ts';
export { ApplyError, type ApplyErrorReason, type Conflict, type FailureStatus, type StatusCause } from './errors.ts';
export { decodeFields, encodeFields } from './fields-v1.ts';
export type { ManagedFieldsEntry, Operation } from './managers.ts';
export { settleTimestamps, withManagedFields } from './metadata.ts';
export type { StructuralSchema } from './schema.ts';
export { type UpdateOptions, updateManagedFields } from './update-managed-fields.ts';
export type { JsonObject } from './values.ts';
export { MAIN_RESET_FIELDS, STATUS_RESET_FIELDS, type WriteOptions } from './writer.ts';
