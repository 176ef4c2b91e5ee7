/** Where manifests come from: what the folder and the repository have in common. */
import type { Reason } from '../api/reasons.ts';

/** One file that may hold manifests, or may not be read. */
export type SourceFile =
  | { readonly path: string; readonly text: string }
  /** `path` may be a folder, of which nothing is read. */
  | { readonly path: string; readonly problem: string };

/** A source at one moment. */
export interface Reading {
  /** The commit, or `sha256:` and a hash of all files. */
  readonly revision: string;
  /** By path, from the top of the source. */
  readonly files: readonly SourceFile[];
}

export interface Source {
  /** For people; without secrets. */
  readonly text: string;
  /** Value of the label on everything that was applied from it. */
  readonly id: string;
  /**
   * Reads all of it. Every wait in it has a deadline.
   * @throws SourceError when the whole cannot be read.
   */
  read(signal: AbortSignal): Promise<Reading>;
  /** Calls back when something may have changed, until the signal aborts; a source that cannot tell never does. */
  watch(onChange: () => void, signal: AbortSignal): void;
}

/** A source that cannot be read as a whole: nothing may be concluded from what is not seen in it. */
export class SourceError extends Error {
  override readonly name = 'SourceError';
  readonly reason: Extract<Reason, 'SourceUnreachable' | 'SourceRefused'>;

  constructor(reason: SourceError['reason'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** A manifest is a page or two; nothing that people write by hand comes near these. */
export const LIMITS = {
  fileBytes: 1024 * 1024,
  totalBytes: 32 * 1024 * 1024,
  files: 5000,
  depth: 32,
} as const;

const KUSTOMIZATIONS: readonly string[] = ['kustomization.yaml', 'kustomization.yml', 'Kustomization'];

/** Whether a file of that name holds manifests. */
export function isManifestName(name: string): boolean {
  return /\.(?:ya?ml|json)$/.test(name) && !name.startsWith('.');
}

/** Whether a file of that name says that its folder is to be built, and is no set of plain manifests. */
export function isKustomization(name: string): boolean {
  return KUSTOMIZATIONS.includes(name);
}

export const KUSTOMIZATION_PROBLEM =
  'a kustomization is not built here, and its folder is not read: sync what "kustomize build" makes of it';
export const TOO_LARGE_PROBLEM = `larger than ${LIMITS.fileBytes / 1024} KiB`;
