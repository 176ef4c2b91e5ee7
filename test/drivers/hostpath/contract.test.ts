import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describeDriver } from '../../contract/driver-contract.ts';
import { hostPathDriver, hostPathVolume } from './support.ts';

describeDriver('hostPath', ({ layer, data }) => ({
  driver: hostPathDriver(layer),
  volume: (name) => hostPathVolume(name, join(data, name), [data]),
  replaceStorage: ({ name }) => {
    rmSync(join(data, name), { recursive: true });
    mkdirSync(join(data, name));
  },
}));
