import { type Environment, Optional } from '@marcbachmann/cel-js';

/** What the library hands to a macro; it publishes no types for it. */
interface Context {
  forkWithVariable(name: string, type: unknown): Context;
  reuse(parent: Context): Context;
  setIterValue(value: unknown, evaluator: Evaluator): Context;
}

interface Type {
  readonly kind: string;
  readonly valueType: unknown;
}

interface Checker {
  check(ast: unknown, context: Context): Type;
  getType(name: string): Type;
  readonly registry: { getOptionalType(type: unknown): Type };
}

interface Evaluator {
  run(ast: unknown, context: Context): unknown;
}

interface Call {
  readonly receiver: unknown;
  readonly args: readonly [variable: { readonly op: string; readonly args: unknown }, body: unknown];
}

/** `optMap` and `optFlatMap` of cel-go's optional types, which the library lacks. */
export function registerOptionals(env: Environment): void {
  env.registerFunction('optional.optMap(ast, ast): optional<dyn>', (call: Call) => macro(call, Optional.of));
  env.registerFunction('optional.optFlatMap(ast, ast): optional<dyn>', (call: Call) => macro(call, asOptional));
}

function asOptional(value: unknown): Optional {
  return value instanceof Optional ? value : Optional.of(value);
}

function macro({ receiver, args: [variable, body] }: Call, wrap: (value: unknown) => unknown) {
  if (variable.op !== 'id') throw new Error('optMap() variable name must be a simple identifier');
  const name = String(variable.args);
  let inner: Context | undefined;
  return {
    typeCheck(checker: Checker, _macro: unknown, context: Context): Type {
      const type = checker.check(receiver, context);
      inner = context.forkWithVariable(name, type.kind === 'optional' ? type.valueType : checker.getType('dyn'));
      const result = checker.check(body, inner);
      return result.kind === 'optional' ? result : checker.registry.getOptionalType(result);
    },
    evaluate(evaluator: Evaluator, _macro: unknown, context: Context): unknown {
      const value = evaluator.run(receiver, context);
      if (!(value instanceof Optional) || !value.hasValue() || inner === undefined) return Optional.none();
      return wrap(evaluator.run(body, inner.reuse(context).setIterValue(value.value(), evaluator)));
    },
  };
}
