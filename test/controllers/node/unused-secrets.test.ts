import { expect } from 'chai';
import { describe, it } from 'mocha';
import { dropUnusedSecrets } from '../../../src/controllers/node/unused-secrets.ts';

const signal = new AbortController().signal;

describe('the secrets of volumes', () => {
  it('are dropped on a node that does not know the volume any more, and asked about again at the last moment', async () => {
    const asked: string[] = [];
    const known = new Set(['wanted']);
    const driver = {
      leftovers: async () => ['wanted', 'orphan'].map((volumeUID) => ({ volumeUID, path: '/', bytes: undefined })),
      dropSecrets: async (uid: string, isUnused: () => boolean) => {
        asked.push(`${uid} ${isUnused()}`);
        known.add(uid);
        asked.push(`${uid} ${isUnused()}`);
      },
    };
    const without = { leftovers: () => Promise.reject(new Error('it keeps no secrets, and need not be asked')) };
    await dropUnusedSecrets({ drivers: [without, driver], isKnown: (uid) => known.has(uid) }, signal);
    expect(asked).to.deep.equal(['orphan true', 'orphan false']);
  });
});
