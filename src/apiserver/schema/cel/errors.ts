/** A failed evaluation, with the text that cel-go would give. */
export class CelError extends Error {
  override readonly name = 'CelError';
}

/** The text that cel-go gives for an error thrown while a rule was evaluated. */
export function celErrorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error instanceof CelError) return error.message;
  const code = 'code' in error ? error.code : undefined;
  const summary = 'summary' in error && typeof error.summary === 'string' ? error.summary : error.message;
  switch (code) {
    case 'no_such_key':
      return summary.replace(/^No such key/, 'no such key');
    case 'index_out_of_bounds':
      return summary.replace(/^.*index (-?\d+) .*$/, 'index out of bounds: $1');
    case 'numeric_overflow':
      return summary.startsWith('Unsigned') ? 'unsigned integer overflow' : 'integer overflow';
    case 'modulo_by_zero':
      return 'modulus by zero';
    case 'no_such_overload':
    case 'no_matching_overload':
    case 'invalid_logical_operand':
    case 'invalid_condition_type':
      return 'no such overload';
    case 'optional_value_missing':
      return 'optional.none() dereference';
    case 'int_conversion_error':
      return "type conversion error from 'string' to 'int'";
    case 'uint_conversion_error':
      return "type conversion error from 'string' to 'uint'";
    case 'double_conversion_error':
      return "type conversion error from 'string' to 'double'";
    case 'bool_conversion_error':
      return "type conversion error from 'string' to 'bool'";
    case 'invalid_timestamp':
      return "type conversion error from 'string' to 'google.protobuf.Timestamp'";
    case 'invalid_duration':
      return "type conversion error from 'string' to 'google.protobuf.Duration'";
    default:
      return summary;
  }
}
