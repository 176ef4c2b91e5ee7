/**
 * The API server without durability: it acknowledges what the disk has not been asked to keep.
 *
 *   node volatile-server.ts STATE_DIR HOST:PORT KUBECONFIG
 */
import { join } from 'node:path';
import { startApiServer } from '../../../src/apiserver/index.ts';

const [stateDir = '', listen = '', kubeconfig = ''] = process.argv.slice(2);
const crdsDir = join(import.meta.dirname, '../../../crds');
const server = await startApiServer({ stateDir, listen, crdsDir, synchronous: 'OFF' });
console.log(`listening on ${server.url}`);
server.writeKubeconfig(kubeconfig);
