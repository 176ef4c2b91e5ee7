import { join } from 'node:path';
import { describeSnapshots } from '../../contract/snapshot-contract.ts';
import { hostPathDriver, hostPathVolume } from './support.ts';

describeSnapshots('hostPath', ({ layer, data }) => ({
  driver: hostPathDriver(layer),
  volume: (name) => hostPathVolume(name, join(data, name), [data]),
  hasSize: false,
  consistentReason: 'Unchanged',
}));
