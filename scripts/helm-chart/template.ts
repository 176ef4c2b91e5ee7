import { stringify } from 'yaml';

/** A map of YAML; its values are YAML, or marks of a {@link Template}. */
export type TemplateMap = Record<string, unknown>;

export interface ManifestObject {
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    labels?: TemplateMap;
    annotations?: TemplateMap;
  };
}

/** Lines of a template, without the indentation that they get at their place. */
export type Lines = readonly string[];

export const lines = (...text: readonly string[]): Lines => text;

/**
 * One object on its way to a template of Helm: expressions are put into it as marks, which stand where a value, an entry of
 * a map or an item of a list may stand, and are replaced when it has become text.
 */
export class Template {
  readonly #marks: ((indent: number) => Lines)[] = [];

  /** In the place of a scalar. */
  value(expression: string): string {
    return this.#mark(() => [`{{ ${expression} }}`]);
  }

  /** In the place of a map or a list, below its key. */
  block(expression: string): string {
    return this.#mark((indent) => [`{{- toYaml ${expression} | nindent ${indent + 2} }}`]);
  }

  /** Lines among the entries of a map; `indent` is that of the entries. */
  entry(text: (indent: number) => Lines): TemplateMap {
    return { [this.#mark(text)]: ENTRY };
  }

  /** Lines among the items of a list. */
  item(text: Lines): string {
    return this.#mark(() => text);
  }

  /** @throws Error when a mark stands where it cannot be replaced. */
  render(object: ManifestObject): string {
    const text = stringify(object, { lineWidth: 0, aliasDuplicateObjects: false });
    const rendered = text
      // What is there already is no template's.
      .replaceAll('{{', '{{ "{{" }}')
      .replace(/^( *)__(\d+)__: ENTRY\n/gm, (_, space: string, mark: string) => this.#linesOf(mark, space))
      .replace(/^( *)- __(\d+)__\n/gm, (_, space: string, mark: string) => this.#linesOf(mark, space))
      .replace(/^( *)(.*: )__(\d+)__$/gm, (_, space: string, key: string, mark: string) => {
        const [value = ''] = this.#textOf(mark, space);
        return `${space}${key}${value}`;
      });
    const left = /.*__\d+__.*/.exec(rendered)?.[0];
    if (left !== undefined) throw new Error(`${object.kind} ${object.metadata.name}: nothing replaces: ${left}`);
    return rendered;
  }

  #mark(text: (indent: number) => Lines): string {
    return `__${this.#marks.push(text) - 1}__`;
  }

  #textOf(mark: string, space: string): Lines {
    return this.#marks[Number(mark)]?.(space.length) ?? [];
  }

  #linesOf(mark: string, space: string): string {
    return this.#textOf(mark, space)
      .map((line) => `${space}${line}\n`)
      .join('');
  }
}

const ENTRY = 'ENTRY';
