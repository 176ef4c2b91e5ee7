/**
 * The contract suite of drivers against nfs. Run inside a guest (e2e/nfs.test.ts); a file that the runner of the machine
 * itself must not claim.
 */
import { describeDriver } from '../../contract/driver-contract.ts';
import { guestDriver, guestVolume } from './guest-support.ts';

describeDriver('nfs', ({ layer }) => ({ driver: guestDriver(layer), volume: guestVolume }));
