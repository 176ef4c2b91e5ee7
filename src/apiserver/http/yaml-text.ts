import { isScalar, LineCounter, parseDocument, stringify, visit } from 'yaml';

/** More references to anchors than this are an attack (the "billion laughs"). */
const MAX_ALIASES = 100;

/** What a YAML text says. */
export interface ReadYaml {
  readonly json: string;
  /** `line 6: key "color" already set in map` for each key that is there twice; the last one counts. */
  readonly duplicates: readonly string[];
}

/** YAML to JSON. Throws Error with the first thing that is wrong. */
export function jsonOfYaml(text: string): ReadYaml {
  const lineCounter = new LineCounter();
  // The library's own look for keys that are there twice takes the square of their number.
  const options = { uniqueKeys: false, logLevel: 'silent', schema: 'yaml-1.1', merge: true, lineCounter } as const;
  const document = parseDocument(text, options);
  const problem = document.errors[0];
  if (problem !== undefined) {
    throw new SyntaxError(`error converting YAML to JSON: yaml: ${problem.message.split('\n')[0]}`, { cause: problem });
  }
  // Nothing at all is null.
  const json = JSON.stringify(document.toJS({ maxAliasCount: MAX_ALIASES }) ?? null);
  const duplicates: string[] = [];
  visit(document, {
    Map(_, map) {
      const seen = new Set<unknown>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        const { line } = lineCounter.linePos(key.range?.[0] ?? 0);
        if (seen.has(key.value)) duplicates.push(`line ${line}: key ${JSON.stringify(key.value)} already set in map`);
        seen.add(key.value);
      }
    },
  });
  return { json, duplicates };
}

/** JSON to YAML. */
export function yamlOfJson(json: string): string {
  return stringify(JSON.parse(json));
}
