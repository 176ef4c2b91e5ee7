import { Worker } from 'node:worker_threads';
import { jsonOfYaml, type ReadYaml } from './yaml-text.ts';

/** What the YAML thread answers to a text. */
export type YamlReply = { readonly read: ReadYaml } | { readonly error: string };

/** A text that is no YAML, or that nobody wants to wait for. */
export class YamlError extends Error {
  override readonly name = 'YamlError';
}

/** What is shorter is done at once: the worst of it takes milliseconds, and most manifests are not longer. */
const SHORT = 4 * 1024;
/** What takes longer is given up: reading half a megabyte of ordinary YAML takes a second. */
const DEADLINE_MS = 5_000;
/** So many may wait for the thread. */
const MAX_WAITING = 32;
/** The thread ends when nobody has needed it for this long. */
const IDLE_MS = 30_000;
const LIMITS = { maxOldGenerationSizeMb: 512 } as const;

/** The thread's program lies beside this one, also in a bundle. */
const PROGRAM = new URL(import.meta.url.endsWith('.ts') ? './yaml-worker.ts' : './yaml-worker.js', import.meta.url);

/** Turns YAML into JSON. Throws YamlError. */
export async function readYaml(text: string): Promise<ReadYaml> {
  if (text.length > SHORT) return thread.ask(text);
  try {
    return jsonOfYaml(text);
  } catch (cause) {
    throw new YamlError((cause as Error).message, { cause });
  }
}

/** What waits for the thread's answer. */
interface Job {
  readonly resolve: (read: ReadYaml) => void;
  readonly reject: (error: YamlError) => void;
}

/**
 * One thread for all, started when it is needed, one text after the other. Its listeners stay as long as it lives: Node
 * hangs its own on the same emitter, and a thread that was given up may still run out of memory, which would end the
 * process if nobody heard of it.
 */
export class YamlThread {
  readonly #start: () => Worker;
  #worker: Worker | undefined;
  #job: Job | undefined;
  #idle: NodeJS.Timeout | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  constructor(start: () => Worker) {
    this.#start = start;
  }

  async ask(text: string): Promise<ReadYaml> {
    if (this.#waiting >= MAX_WAITING) throw new YamlError('too many large YAML documents at once, try again later');
    this.#waiting++;
    const mine = this.#turn.then(() => this.#run(text));
    this.#turn = mine.catch(() => {});
    try {
      return await mine;
    } finally {
      this.#waiting--;
    }
  }

  async #run(text: string): Promise<ReadYaml> {
    clearTimeout(this.#idle);
    const worker = (this.#worker ??= this.#open());
    worker.ref();
    const deadline = setTimeout(
      () => this.#giveUp(worker, new YamlError(`it is not read after ${DEADLINE_MS / 1000} s`)),
      DEADLINE_MS,
    );
    try {
      return await new Promise<ReadYaml>((resolve, reject) => {
        this.#job = { resolve, reject };
        worker.postMessage(text);
      });
    } finally {
      clearTimeout(deadline);
      this.#job = undefined;
      worker.unref();
      this.#idle = setTimeout(() => this.#end(), IDLE_MS).unref();
    }
  }

  #open(): Worker {
    const worker = this.#start();
    worker.on('message', (reply: YamlReply) => {
      if (this.#worker !== worker) return;
      if ('error' in reply) this.#job?.reject(new YamlError(reply.error));
      else this.#job?.resolve(reply.read);
    });
    worker.on('error', (cause) => this.#giveUp(worker, new YamlError('it takes too much memory', { cause })));
    worker.on('exit', () => this.#giveUp(worker, new YamlError('the thread that reads it has ended')));
    return worker;
  }

  /** Does nothing for a thread that was given up before. */
  #giveUp(worker: Worker, error: YamlError): void {
    if (this.#worker !== worker) return;
    this.#end();
    this.#job?.reject(error);
  }

  #end(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    // It may be in the middle of something that has no end.
    void worker?.terminate();
  }
}

const thread = new YamlThread(() => new Worker(PROGRAM, { resourceLimits: LIMITS, name: 'clawstore-yaml' }));
