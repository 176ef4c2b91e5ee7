/** What a request wants to do. */
export interface Attributes {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  /** `''` for the object itself. */
  readonly subresource: string;
  readonly namespace: string;
  /** Of a list or watch: the one name that its field selector lets through. */
  readonly name: string;
  /** Fields that the field selector of a list or watch holds to one value. */
  readonly pinned: ReadonlyMap<string, string>;
}
