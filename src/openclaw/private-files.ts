/** Small files of the state directory with secrets in them; whoever starts the node says how they are kept. */
export interface PrivateFiles {
  /** Content of a file; undefined where there is none. */
  read(file: string): string | undefined;
  /** Writes it whole, for its owner alone (0600), and makes its directory where needed. */
  write(file: string, text: string): void;
  /** Removes it, if it is there. */
  remove(file: string): void;
}
