import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describeDriver } from '../../contract/driver-contract.ts';
import { S3Server } from '../../support/harness/s3-server.ts';
import { hasEnded, s3Driver, s3Volume } from './support.ts';

describeDriver('s3', async ({ layer }) => {
  const { RCLONE = '', PATH } = process.env;
  process.env['PATH'] = `${dirname(RCLONE)}:${PATH}`;
  const server = await S3Server.start();
  await server.createBucket('contract');
  return {
    driver: s3Driver(layer),
    volume: (name) => s3Volume(name, server.location('contract', `${name}/`)),
    replaceStorage: ({ uid }) => {
      const [pid = ''] = readFileSync(join(layer.stateDir, 's3', uid, 'process'), 'utf8').split(' ');
      process.kill(Number(pid), 'SIGKILL');
      while (!hasEnded(Number(pid))) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    },
    dispose: () => server.end(),
  };
});
