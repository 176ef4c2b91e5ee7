import { Agent, request } from 'undici';
import type { ServerProcess } from './server.ts';

/** An object as far as these tests look. */
export interface Shown {
  readonly metadata: {
    readonly name: string;
    readonly resourceVersion: string;
    readonly continue?: string;
  };
  readonly items?: readonly Shown[];
}

export interface Answered {
  readonly code: number;
  readonly body: Shown;
}

/** A well-behaved client over TLS. */
export class Client {
  readonly #server: ServerProcess;
  readonly #agent: Agent;

  constructor(server: ServerProcess, connections: number) {
    this.#server = server;
    this.#agent = new Agent({ connections, connect: { ca: server.ca } });
  }

  async send(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    body?: unknown,
    type = 'application/json',
  ): Promise<Answered> {
    const response = await request(this.#server.url + path, {
      method,
      dispatcher: this.#agent,
      headers: {
        authorization: `Bearer ${this.#server.token}`,
        ...(body === undefined ? {} : { 'content-type': type }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { code: response.statusCode, body: (await response.body.json()) as Shown };
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

/** Does something `count` times, so many at once. */
export async function times(count: number, atOnce: number, action: (index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) await action(index);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}
