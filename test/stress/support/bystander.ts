import { type Endpoint, RawConnection } from './raw-http.ts';

/** Longer than anybody may have to wait because of others, on a busy machine too. */
const PATIENCE_MS = 60_000;
const PAUSE_MS = 5;

/** A well-behaved client that asks again and again while others misbehave. */
export class Bystander {
  readonly #request: Buffer;
  readonly #connection: RawConnection;
  #stopped = false;
  #answers = 0;
  readonly #done: Promise<void>;

  private constructor(connection: RawConnection, request: Buffer) {
    this.#connection = connection;
    this.#request = request;
    this.#done = this.#run();
    this.#done.catch(() => {});
  }

  static async start(endpoint: Endpoint, request: Buffer): Promise<Bystander> {
    return new Bystander(await RawConnection.open(endpoint), request);
  }

  /** How many answers it has had. */
  get answers(): number {
    return this.#answers;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      this.#connection.write(this.#request);
      const response = await this.#connection.receive(PATIENCE_MS);
      if (response?.code !== 200) throw new Error(`the bystander was answered ${response?.code ?? 'nothing'}`);
      this.#answers++;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /** Resolves after one more answer from now on; throws when it is not served. */
  async served(): Promise<void> {
    const wanted = this.#answers + 2;
    while (this.#answers < wanted) {
      await Promise.race([this.#done, new Promise((resolve) => setTimeout(resolve, PAUSE_MS))]);
    }
  }

  /** Throws what went wrong while it ran. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done.finally(() => this.#connection.close());
  }
}
