/** The contract suite of snapshots against nfs, as `contract.guest.ts`. */
import type { SubjectContext } from '../../contract/driver-contract.ts';
import { describeReading, type ReadingSubject } from '../../contract/reading-contract.ts';
import { describeReverts } from '../../contract/revert-contract.ts';
import { describeSnapshots } from '../../contract/snapshot-contract.ts';
import { guestDriver, guestVolume } from './guest-support.ts';

const subject = ({ layer }: SubjectContext): ReadingSubject => ({
  driver: guestDriver(layer),
  volume: guestVolume,
  hasSize: false,
  consistentReason: 'Unchanged',
  // NFS 4.2 carries attributes of users between client and server that both know them; those of root never.
  // The server of these tests does not keep the times of symbolic links.
  lacks: ['xattrs', 'linkTimes'],
  isElsewhere: true,
  method: 'InPlace',
});

describeSnapshots('nfs', subject);
describeReading('nfs', subject);
describeReverts('nfs', subject);
