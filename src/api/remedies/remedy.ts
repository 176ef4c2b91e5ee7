/** What a person should know beside the reason itself. Sentences, without names of objects. */
export interface Remedy {
  /** What cannot be used, or does not happen, meanwhile. */
  readonly affected: string;
  /** What to do, first things first. Says so where it goes on by itself. */
  readonly action: string;
}

/** Reasons with their remedies: what is wrong first, the first entry of a group being the commonest. */
export type Remedies = Readonly<Record<string, Remedy>>;
