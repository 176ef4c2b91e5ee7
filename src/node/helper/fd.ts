import type { Libc } from './libc.ts';

/** A file descriptor that closes itself at the end of its block. */
export class Fd {
  readonly number: number;
  readonly #libc: Libc;

  constructor(libc: Libc, number: number) {
    this.#libc = libc;
    this.number = number;
  }

  /** Path by which the rest of Node can reach what is open here. */
  get procPath(): string {
    return `/proc/self/fd/${this.number}`;
  }

  [Symbol.dispose](): void {
    this.#libc.close(this.number);
  }
}
