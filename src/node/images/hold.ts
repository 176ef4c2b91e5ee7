/**
 * Holds the writers of an image while it is cloned. Clones that wait for the same image are made in one hold, as many as fit
 * into its time: writers wait once, and all of them are of one moment.
 */
import { crashPoint } from '../crash-points.ts';
import type { CloneCalls } from './clone-calls.ts';
import { Gate, type Turns } from './turns.ts';
import { startWatchdog } from './watchdog.ts';

/** More at once would only make each writer wait longer. */
const FROZEN_AT_ONCE = 3;

/** One clone that is to be made while nobody writes. */
export interface HeldWork {
  /** Those with the same key are made in one hold. */
  readonly key: string;
  /** The image; nobody else freezes or thaws it meanwhile. */
  readonly image: string;
  /** A descriptor of its mounted filesystem, and its name for messages. */
  readonly fd: number;
  readonly name: string;
  /** How long writers may be held, and how long this is expected to take, milliseconds. */
  readonly timeoutMs: number;
  readonly expectedMs: number;
  /** @throws when it is not wanted any more. */
  readonly check: () => void;
  /** Makes the clone; false when the time was not enough. */
  readonly fill: (ended: AbortSignal) => Promise<boolean>;
}

export interface Held {
  readonly takenAt: Date;
  /** `running` when the time was not enough, or somebody thawed. */
  readonly writers: 'held' | 'running';
  readonly heldMs: number;
}

interface Member {
  readonly work: HeldWork;
  readonly result: PromiseWithResolvers<Held>;
}

/** What became of a member; one that was not begun has none. */
type Outcome = { readonly isComplete: boolean } | { readonly error: unknown };

export class Holds {
  readonly #calls: () => CloneCalls;
  readonly #turns: Turns;
  readonly #gate = new Gate(FROZEN_AT_ONCE);
  /** Who waits for the next hold, by key. */
  readonly #waiting = new Map<string, Member[]>();

  /** @param turns Shared with whoever else freezes or thaws images. */
  constructor(calls: () => CloneCalls, turns: Turns) {
    this.#calls = calls;
    this.#turns = turns;
  }

  /** Makes one clone, perhaps together with others. */
  make(work: HeldWork): Promise<Held> {
    const member: Member = { work, result: Promise.withResolvers() };
    this.#join(member);
    return member.result.promise;
  }

  #join(member: Member): void {
    const { key, image } = member.work;
    const others = this.#waiting.get(key);
    if (others !== undefined) {
      others.push(member);
      return;
    }
    const members = [member];
    this.#waiting.set(key, members);
    this.#gate
      .pass(() =>
        this.#turns.take(image, () => {
          // Who comes from now on waits for the next one.
          this.#waiting.delete(key);
          return this.#holdFor(members);
        }),
      )
      .catch((error: unknown) => {
        for (const { result } of members) result.reject(error);
      });
  }

  async #holdFor(members: readonly Member[]): Promise<void> {
    const wanted = members.filter(({ work, result }) => {
      try {
        work.check();
        return true;
      } catch (error) {
        result.reject(error);
        return false;
      }
    });
    const [first] = wanted;
    if (first === undefined) return;
    let left = first.work.timeoutMs;
    const fitting = wanted.filter(({ work }, index) => (left -= work.expectedMs) > 0 || index === 0);
    const outcomes = new Map<Member, Outcome>();
    const held = await this.#hold(first.work, (ended) => fillAll(fitting, outcomes, ended));
    for (const member of wanted) {
      const outcome = outcomes.get(member);
      if (outcome === undefined) this.#join(member);
      else if ('error' in outcome) member.result.reject(outcome.error);
      else {
        const writers = outcome.isComplete && held.wasHeld ? 'held' : 'running';
        member.result.resolve({ takenAt: held.takenAt, writers, heldMs: held.heldMs });
      }
    }
  }

  async #hold(
    { fd, name, timeoutMs }: HeldWork,
    work: (ended: AbortSignal) => Promise<void>,
  ): Promise<{ readonly takenAt: Date; readonly wasHeld: boolean; readonly heldMs: number }> {
    const calls = this.#calls();
    const watchdog = await startWatchdog(fd, timeoutMs);
    try {
      crashPoint('clone.after-watchdog');
      const start = performance.now();
      const isOurs = await calls.freeze(fd, name);
      // Somebody killed the watchdog: nobody else would thaw if this process hung.
      const letGo = (): unknown => isOurs && calls.thaw(fd, name);
      if (watchdog.ended.aborted) letGo();
      else watchdog.ended.addEventListener('abort', letGo, { once: true });
      crashPoint('clone.after-freeze');
      const takenAt = new Date();
      let wasHeld = false;
      try {
        await work(watchdog.ended);
        crashPoint('clone.after-clone');
      } finally {
        watchdog.ended.removeEventListener('abort', letGo);
        // Whoever froze it before us has it back frozen; freezing it once more tells whether it was so all the time.
        wasHeld = isOurs ? calls.thaw(fd, name) : await this.#isStillFrozen(fd, name);
      }
      crashPoint('clone.after-thaw');
      return { takenAt, wasHeld, heldMs: performance.now() - start };
    } finally {
      await watchdog.end();
    }
  }

  async #isStillFrozen(fd: number, name: string): Promise<boolean> {
    const calls = this.#calls();
    if (!(await calls.freeze(fd, name))) return true;
    calls.thaw(fd, name);
    return false;
  }
}

/** Makes each, as long as writers are held: what is left then waits for the next hold. */
async function fillAll(members: readonly Member[], outcomes: Map<Member, Outcome>, ended: AbortSignal): Promise<void> {
  for (const [index, member] of members.entries()) {
    // The first is made even so, and says that writers went on: it must not wait for ever.
    if (index > 0 && ended.aborted) return;
    try {
      outcomes.set(member, { isComplete: await member.work.fill(ended) });
    } catch (error) {
      outcomes.set(member, { error });
    }
  }
}
