import type { JsonObject } from '../schema/json-value.ts';

/**
 * One version of one object. It never changes; its JSON is made once and shared by every answer and watch event. The
 * parsed form is dropped when a newer version replaces it, and comes back when a late watcher asks.
 */
export class Item {
  /** `NAMESPACE/NAME`, or `NAME` for cluster-scoped objects. */
  readonly key: string;
  readonly revision: number;
  readonly json: string;
  #object: JsonObject | undefined;
  /** Other forms of this version (another API version, without `kind`), by name; filled by who needs them. */
  #forms: Map<string, string> | undefined;

  constructor(key: string, revision: number, json: string, object?: JsonObject) {
    this.key = key;
    this.revision = revision;
    this.json = json;
    this.#object = object;
  }

  /** The parsed object: shared, never to be changed. */
  get object(): JsonObject {
    this.#object ??= JSON.parse(this.json) as JsonObject;
    return this.#object;
  }

  get metadata(): JsonObject {
    return this.object['metadata'] as JsonObject;
  }

  get name(): string {
    return this.key.slice(this.key.indexOf('/') + 1);
  }

  get namespace(): string {
    const slash = this.key.indexOf('/');
    return slash < 0 ? '' : this.key.slice(0, slash);
  }

  /** Returns the form called `name`, made at first use. */
  form(name: string, make: (item: Item) => string): string {
    let text = this.#forms?.get(name);
    if (text === undefined) {
      text = make(this);
      this.#forms ??= new Map();
      this.#forms.set(name, text);
    }
    return text;
  }

  /** Lets the memory of the parsed form go. */
  forget(): void {
    this.#object = undefined;
    this.#forms = undefined;
  }
}
