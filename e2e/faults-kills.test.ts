/** Every process of the product is killed, at random times under load and at every enumerated instruction. */
import { setTimeout as delay } from 'node:timers/promises';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { CRASH_POINTS, type CrashPoint, deathAt } from '../src/node/crash-points.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { isRunning } from '../test/support/harness/daemon.ts';
import { run } from '../test/support/harness/exec.ts';
import { Machine } from '../test/support/harness/machine.ts';
import { mountsAt } from '../test/support/harness/mounts.ts';
import { Population, SORTS } from '../test/support/harness/population.ts';
import { full, seed, seededRandom, shareOf } from '../test/support/harness/run.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const ROUNDS = full ? 100 : 5;
const CHANGES = 8;
/** In five rounds each once; the controller seldom, because its successor waits for the Lease to expire. */
const TURNS = [
  'the agent',
  'agent and helper',
  'the helper',
  'the controller',
  'every process of ours',
  'the agent',
  'the helper',
  'agent and helper',
  'the agent',
  'the helper',
] as const;
/**
 * Nothing here removes a tree, takes snapshots or goes back to them, and these volumes have no process that serves them: the tests of the node
 * layer and of the drivers reach these places.
 */
const UNREACHED: readonly CrashPoint[] = [
  'remove-tree.first-entry',
  'daemon.after-start',
  ...CRASH_POINTS.filter((point) => /^(clone|snapshot|tree|revert)\./.test(point)),
];
const POINTS = [...new Set(CRASH_POINTS)].filter((point) => !UNREACHED.includes(point));

describe(`kills, ${controlPlaneKind} API server, CLAWSTORE_SEED=${seed}`, function () {
  this.timeout(600_000);
  let machine: Machine;
  let population: Population;

  before(async () => {
    machine = await Machine.start({ separate: true });
    population = new Population(machine, await machine.namespace('kills'));
  });

  after(async () => {
    await machine?.end();
  });

  const victims: Readonly<Record<(typeof TURNS)[number], () => Promise<unknown>>> = {
    'the agent': () => machine.node.kill(),
    'the helper': async () => killPid(machine.node.helperPid()),
    'agent and helper': () => machine.node.killGroup(),
    'the controller': () => machine.controller.killGroup(),
    'every process of ours': () => machine.killEverything(),
  };

  describe('at random times, under a stream of creates and deletes', () => {
    const random = seededRandom('kills');
    const plan = Array.from({ length: ROUNDS }, (_, round) => ({
      victim: TURNS[round % TURNS.length] ?? 'the agent',
      afterMs: random.between(5, 700),
    }));
    for (const [round, { victim, afterMs }] of plan.entries()) {
      it(`round ${round + 1}: converges and leaks nothing when ${victim} is killed after ${afterMs} ms`, async () => {
        const stream = change(`r${round}`);
        await delay(afterMs);
        await victims[victim]();
        await machine.restartWhatEnded();
        await stream;
        await population.settle();
      });
    }

    /** Makes some volumes with mounts and deletes some of those that are there, all at the same time. */
    async function change(prefix: string): Promise<void> {
      const old = [...population.names];
      const work: Promise<void>[] = [];
      for (let index = 0; index < CHANGES; index++) {
        const sort = random.pick(SORTS);
        work.push(population.add(`${prefix}-${index}`, sort));
        const [victim] = old.splice(random.between(0, Math.max(0, old.length - 1)), 1);
        if (victim !== undefined) work.push(population.remove(victim));
        await delay(random.between(0, 60));
      }
      await Promise.all(work);
    }
  });

  describe('at every enumerated place', () => {
    before(async () => {
      await Promise.all(population.names.map((name) => population.remove(name)));
      await population.settle();
    });

    // Those of mounts are met in every run by the tests of the node layer.
    for (const point of shareOf('kills', POINTS)) {
      it(`${point}: everything converges afterwards, and nothing is left when it is deleted`, async () => {
        await machine.node.stop();
        // The mount root is made only where it is not there yet.
        if (point.startsWith('root.') && mountsAt(machine.settings.mountRoot).length > 0) {
          await run('umount', ['--recursive', machine.settings.mountRoot]);
        }
        const armed = await machine.startNode({ env: { CLAWSTORE_CRASH_AT: point }, unready: true });
        let died = false;
        const helpers = new Set<number>();
        const dead = (): boolean => {
          const helper = armed.helperPid();
          if (helper !== undefined) helpers.add(helper);
          // A helper may have been there and gone between two looks.
          died ||= armed.exit !== undefined || [...helpers].some((pid) => !isRunning(pid));
          died ||= armed.output().includes(deathAt(point));
          return died;
        };
        const name = (sort: string): string => `${point.replaceAll('.', '-')}-${sort}`;
        await Promise.all(SORTS.map((sort) => population.add(name(sort), sort)));
        await until(() => dead() || population.isReady(), 'the place to be reached, or everything to be made');
        if (!dead()) {
          await population.grow(name('image'), '400Mi');
          await until(() => dead() || population.isReady(), 'the place to be reached, or the image to be grown');
        }
        if (!dead()) {
          await Promise.all(SORTS.map((sort) => population.remove(name(sort))));
          await until(() => dead() || population.isGone(), 'the place to be reached, or everything to be gone');
        }
        expect(died, `${point} was never reached`).to.equal(true);
        await armed.killGroup();

        await machine.startNode();
        await population.settle();
        await Promise.all(population.names.map((left) => population.remove(left)));
        await population.settle();
      });
    }
  });

  // Mocha runs the tests of a block before the blocks in it.
  describe('in all of this', () => {
    it('never showed a status that breaks the rules', () => {
      expect(machine.objects.versions).to.be.greaterThan(100);
      expect(machine.objects.problems).to.deep.equal([]);
    });
  });
});

function until(holds: () => boolean, message: string): Promise<true> {
  return waitFor(holds, { message, deadline: 150_000 });
}

async function killPid(pid: number | undefined): Promise<void> {
  // Between two helpers there is none to kill.
  if (pid === undefined || !isRunning(pid)) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    return; // it has ended by itself meanwhile
  }
  await waitFor(() => !isRunning(pid), { message: `${pid} to die` });
}
