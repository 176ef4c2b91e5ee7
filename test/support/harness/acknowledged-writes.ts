/**
 * A client that writes all the time and keeps a record of what was acknowledged: the name, the content and the
 * resourceVersion of each answer. What a server shows later is compared with it.
 */
import { CONFIG_MAPS, type KubeObjectBase } from '../../../src/api/meta.ts';
import type { KubeClient } from '../../../src/kube/client.ts';
import { KubeError } from '../../../src/kube/errors.ts';
import type { SeededRandom } from './random.ts';

interface Note extends KubeObjectBase {
  readonly data?: Readonly<Record<string, string>>;
}

/** What an object holds: a number that no other write has, or `undefined` where there is none. */
type Content = string | undefined;

interface Acknowledged {
  readonly content: Content;
  /** 0 for a deletion, whose answer does not say. */
  readonly revision: number;
}

const WRITERS = 8;
const NAMES_PER_WRITER = 6;
/** Some objects are large, so that the log soon has to be copied into the database (checkpoints). */
const PADDING = [0, 0, 500, 20_000];

export class AcknowledgedWrites {
  readonly namespace = 'default';
  readonly #random: SeededRandom;
  readonly #acknowledged = new Map<string, Acknowledged>();
  /** Writes that were sent and never answered: either outcome is right. */
  readonly #unanswered = new Map<string, Content>();
  /** Every acknowledged version and every version that the watch has shown, as `NAME REVISION`; either may come first. */
  readonly #versions = new Set<string>();
  readonly #shown = new Set<string>();
  readonly #problems: string[] = [];
  #serial = 0;
  #highest = 0;
  #watchedTo: string | undefined;
  /** What the watch began after. */
  #listed = 0;
  #relists = 0;

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** How many writes were sent. */
  get count(): number {
    return this.#serial;
  }

  /** The highest resourceVersion that any answer or event has carried. */
  get highest(): number {
    return this.#highest;
  }

  /** How often the watch was told that its past is gone. */
  get relists(): number {
    return this.#relists;
  }

  /** Writes and watches until the signal aborts; then nothing is on its way any more. */
  async run(client: KubeClient, signal: AbortSignal): Promise<void> {
    const writers = Array.from({ length: WRITERS }, (_, writer) => this.#write(client, writer, signal));
    await Promise.all([...writers, this.watch(client, signal)]);
  }

  async #write(client: KubeClient, writer: number, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const name = `w${writer}-${this.#random.between(1, NAMES_PER_WRITER)}`;
      const before = this.#acknowledged.get(name);
      const known = before?.content;
      const content = known !== undefined && this.#random.next() < 0.15 ? undefined : String(++this.#serial);
      this.#unanswered.set(name, content);
      try {
        const revision = await this.#send(client, name, known, content, signal);
        if (revision > 0 && revision <= (before?.revision ?? 0)) {
          this.#problems.push(`${name}: version ${revision} was given out after version ${before?.revision}`);
        }
        this.#unanswered.delete(name);
        this.#acknowledged.set(name, { content, revision });
        if (revision > 0) this.#versions.add(`${name} ${revision}`);
        this.#highest = Math.max(this.#highest, revision);
      } catch (thrown) {
        if (signal.aborted) return;
        throw new Error(`the write of ${name} failed with the power on: ${KubeError.from(thrown).message}`, {
          cause: thrown,
        });
      }
    }
  }

  async #send(
    client: KubeClient,
    name: string,
    known: Content,
    content: Content,
    signal: AbortSignal,
  ): Promise<number> {
    const { namespace } = this;
    if (content === undefined) {
      await client.delete(CONFIG_MAPS, { namespace, name }, { signal });
      return 0;
    }
    const object: Note = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { namespace, name },
      data: { content, padding: 'x'.repeat(this.#random.pick(PADDING)) },
    };
    const written =
      known === undefined
        ? await client.create<Note>(CONFIG_MAPS, object, { signal })
        : await client.replace<Note>(CONFIG_MAPS, object, { signal });
    return Number(written.metadata.resourceVersion);
  }

  /** Goes on where the last watch ended; where that is too long ago, lists as a client has to. */
  async watch(client: KubeClient, signal: AbortSignal): Promise<void> {
    const { namespace } = this;
    while (!signal.aborted) {
      try {
        if (this.#watchedTo === undefined) {
          const { resourceVersion } = await client.list<Note>(CONFIG_MAPS, { namespace, signal });
          this.#watchedTo = resourceVersion;
          this.#listed = Number(resourceVersion);
        }
        const resourceVersion = this.#watchedTo;
        for await (const event of client.watch<Note>(CONFIG_MAPS, { namespace, resourceVersion, signal })) {
          this.#see(event.type, event.object);
        }
      } catch (thrown) {
        if (signal.aborted) return;
        if (!KubeError.from(thrown).isExpired) throw thrown;
        this.#relists += 1;
        this.#watchedTo = undefined;
      }
    }
  }

  #see(type: string, { metadata }: KubeObjectBase): void {
    const revision = Number(metadata.resourceVersion);
    const before = Number(this.#watchedTo);
    if (type === 'BOOKMARK' ? revision < before : revision <= before) {
      this.#problems.push(`the watch went back from ${before} to ${revision} (${type} ${metadata.name})`);
    }
    this.#watchedTo = String(Math.max(revision, before));
    this.#highest = Math.max(this.#highest, revision);
    this.#shown.add(`${metadata.name} ${revision}`);
  }

  /** Acknowledged versions that the watch has not shown. */
  get unseen(): readonly string[] {
    return [...this.#versions].filter(
      (version) => !this.#shown.has(version) && Number(version.split(' ')[1]) > this.#listed,
    );
  }

  /** Takes the server's present state as the one to go on from. @returns what is not as it was acknowledged. */
  async compare(client: KubeClient): Promise<readonly string[]> {
    const { namespace } = this;
    const { items, resourceVersion } = await client.list<Note>(CONFIG_MAPS, { namespace });
    const problems = this.#problems.splice(0);
    if (Number(resourceVersion) < this.#highest) {
      problems.push(`the resourceVersion went back from ${this.#highest} to ${resourceVersion}`);
    }
    const there = new Map(
      items.filter(({ metadata }) => metadata.name.startsWith('w')).map((i) => [i.metadata.name, i]),
    );
    for (const name of new Set([...there.keys(), ...this.#acknowledged.keys(), ...this.#unanswered.keys()])) {
      const object = there.get(name);
      const content = object?.data?.['content'];
      const revision = Number(object?.metadata.resourceVersion ?? 0);
      const known = this.#acknowledged.get(name);
      const isUnanswered = this.#unanswered.has(name) && content === this.#unanswered.get(name);
      if (content !== known?.content && !isUnanswered) {
        problems.push(`${name}: ${show(known)} was acknowledged, there is ${show({ content, revision })}`);
      } else if (!isUnanswered && known !== undefined && revision !== known.revision) {
        problems.push(`${name}: version ${known.revision} was acknowledged, it is ${revision}`);
      }
      this.#acknowledged.set(name, { content, revision });
    }
    this.#unanswered.clear();
    return problems;
  }
}

function show(known: Acknowledged | undefined): string {
  return known?.content === undefined ? 'nothing' : `write ${known.content} as version ${known.revision}`;
}
