import { Environment } from '@marcbachmann/cel-js';
import { registerKubernetes } from './library-kubernetes.ts';
import { registerLists } from './library-lists.ts';
import { registerOptionals } from './library-optionals.ts';
import { registerStrings } from './library-strings.ts';

let base: Environment | undefined;

/** A rule environment with all functions of Kubernetes and no variables; extending it changes no other. */
export function ruleEnvironment(): Environment {
  base ??= createBase();
  return base.clone();
}

function createBase(): Environment {
  // Kubernetes wants lists of one type except for the arguments of format(); the library knows no such exception.
  const env = new Environment({ enableOptionalTypes: true, homogeneousAggregateLiterals: false });
  registerStrings(env);
  registerLists(env);
  registerKubernetes(env);
  registerOptionals(env);
  return env;
}
