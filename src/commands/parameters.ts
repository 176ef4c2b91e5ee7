/** Checks the parameters of a command: unknown names are errors, and each error names its field. */
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { CommandError } from './command-error.ts';

/** JSON Schema (draft-07) of one parameter; `description` is shown in the help. */
export interface ParameterProperty {
  readonly type: 'string' | 'number' | 'boolean' | 'array';
  readonly description: string;
  readonly default?: string | number | boolean;
  readonly enum?: readonly string[];
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly items?: { readonly type: 'string' };
}

export interface ParameterSchema {
  readonly required: readonly string[];
  readonly properties: Readonly<Record<string, ParameterProperty>>;
}

// Whether the schemas are schemas is a test's question: to ask it in each command would take 30 ms.
const ajv = new Ajv({ useDefaults: true, strict: true, meta: false, validateSchema: false });
const compiled = new WeakMap<ParameterSchema, ValidateFunction>();

/**
 * Returns a copy of the parameters with defaults filled in.
 * @throws CommandError `InvalidParameter`, with the field at fault.
 */
export function checkParameters(command: string, schema: ParameterSchema, params: unknown): unknown {
  if (params === null || typeof params !== 'object' || Array.isArray(params)) {
    throw new CommandError('InvalidParameter', `${command}: the parameters must be a JSON object, e.g. {}`);
  }
  let validate = compiled.get(schema);
  if (validate === undefined) {
    validate = ajv.compile({ type: 'object', additionalProperties: false, ...schema });
    compiled.set(schema, validate);
  }
  const copy: unknown = structuredClone(params);
  if (validate(copy)) return copy;
  const error = validate.errors?.[0];
  throw error === undefined
    ? new CommandError('InvalidParameter', `${command}: the parameters are not valid`)
    : describe(command, schema, error);
}

function describe(command: string, schema: ParameterSchema, error: ErrorObject): CommandError {
  const field = fieldOf(error);
  const known = Object.keys(schema.properties).join(', ') || 'none';
  const text = (() => {
    switch (error.keyword) {
      case 'additionalProperties':
        return `unknown parameter "${field}" (known: ${known})`;
      case 'required':
        return `parameter "${field}" is required`;
      case 'enum':
        return `parameter "${field}" must be one of ${(schema.properties[field]?.enum ?? []).join(', ')}`;
      default:
        return `parameter "${field}" ${error.message ?? 'is not valid'}`;
    }
  })();
  return new CommandError('InvalidParameter', `${command}: ${text}`, { field });
}

function fieldOf(error: ErrorObject): string {
  const params = error.params as { additionalProperty?: string; missingProperty?: string };
  return params.additionalProperty ?? params.missingProperty ?? error.instancePath.split('/')[1] ?? '';
}
