import { parseDocument, stringify } from 'yaml';

/** More references to anchors than this are an attack (the "billion laughs"). */
const MAX_ALIASES = 100;

/** YAML to JSON. Throws Error with the first thing that is wrong. */
export function jsonOfYaml(text: string): string {
  const document = parseDocument(text, { uniqueKeys: false, logLevel: 'silent', schema: 'yaml-1.1', merge: true });
  const problem = document.errors[0];
  if (problem !== undefined) {
    throw new SyntaxError(`error converting YAML to JSON: yaml: ${problem.message.split('\n')[0]}`, { cause: problem });
  }
  // Nothing at all is null.
  return JSON.stringify(document.toJS({ maxAliasCount: MAX_ALIASES }) ?? null);
}

/** JSON to YAML. */
export function yamlOfJson(json: string): string {
  return stringify(JSON.parse(json));
}
