import { join } from 'node:path';
import { describeReverts } from '../../contract/revert-contract.ts';
import { hostPathDriver, hostPathVolume } from './support.ts';

describeReverts('hostPath', ({ layer, data }) => ({
  driver: hostPathDriver(layer),
  volume: (name) => hostPathVolume(name, join(data, name), [data]),
  hasSize: false,
  consistentReason: 'Unchanged',
}));
