/** `clawstore up` on an empty state directory, until it says that it is ready. */
import type { Case } from '../support/case.ts';
import { Machine } from '../support/machine.ts';
import { Scope } from '../support/scope.ts';

export const start: Case = {
  name: 'start',
  async run({ scope, options, progress }) {
    const ours: number[] = [];
    for (let round = 0; round < options.rounds; round++) {
      const own = new Scope(scope.directory, 'start');
      try {
        const machine = await Machine.create(own);
        ours.push(await machine.start());
        await machine.stop();
      } finally {
        await own.end();
      }
      progress(`round ${round + 1}: ${ours.at(-1)?.toFixed(0)} ms`);
    }
    return [
      {
        name: 'start',
        title: '`clawstore up` on an empty state directory, ready',
        unit: 'ms',
        ours,
        of: 'median',
        goal: { text: '< 1 s', limit: 1000, on: 'value' },
      },
    ];
  },
};
