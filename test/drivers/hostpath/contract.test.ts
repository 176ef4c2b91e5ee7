import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createHostPathDriver } from '../../../src/drivers/hostpath/driver.ts';
import { describeDriver } from '../../contract/driver-contract.ts';
import { hostPathVolume } from './support.ts';

describeDriver('hostPath', ({ layer, data }) => ({
  driver: createHostPathDriver(layer),
  volume: (name) => hostPathVolume(name, join(data, name), [data]),
  replaceStorage: ({ name }) => {
    rmSync(join(data, name), { recursive: true });
    mkdirSync(join(data, name));
  },
}));
