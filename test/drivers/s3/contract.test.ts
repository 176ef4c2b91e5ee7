import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { S3Driver } from '../../../src/drivers/s3/driver.ts';
import { describeDriver } from '../../contract/driver-contract.ts';
import { isRunning } from '../../support/harness/daemon.ts';
import { S3Server } from '../../support/harness/s3-server.ts';
import { s3Volume } from './support.ts';

describeDriver('s3', async ({ layer }) => {
  const { RCLONE = '', PATH } = process.env;
  process.env['PATH'] = `${dirname(RCLONE)}:${PATH}`;
  const server = await S3Server.start();
  await server.createBucket('contract');
  return {
    driver: new S3Driver(layer),
    volume: (name) => s3Volume(name, server.location('contract', `${name}/`)),
    replaceStorage: ({ uid }) => {
      const [pid = ''] = readFileSync(join(layer.stateDir, 's3', uid, 'process'), 'utf8').split(' ');
      process.kill(Number(pid), 'SIGKILL');
      while (isRunning(Number(pid))) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    },
    dispose: () => server.end(),
  };
});
