import { join } from 'node:path';
import { createHostPathDriver } from '../../../src/drivers/hostpath/driver.ts';
import { describeSnapshots } from '../../contract/snapshot-contract.ts';
import { hostPathVolume } from './support.ts';

describeSnapshots('hostPath', ({ layer, data }) => ({
  driver: createHostPathDriver(layer),
  volume: (name) => hostPathVolume(name, join(data, name), [data]),
  hasSize: false,
  consistentReason: 'Unchanged',
}));
