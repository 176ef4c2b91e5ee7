/**
 * Runs commands in a guest for the tests outside: one JSON request and one JSON answer per connection.
 *
 *   node guest-commands.ts ADDRESS PORT
 */
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:net';

interface Request {
  readonly argv: readonly [string, ...string[]];
  readonly deadline: number;
}

const [address = '', port = ''] = process.argv.slice(2);

createServer({ allowHalfOpen: true }, (socket) => {
  let text = '';
  socket.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
  });
  socket.on('error', () => socket.destroy());
  socket.on('end', () => {
    const { argv, deadline } = JSON.parse(text) as Request;
    const [command, ...args] = argv;
    const options = { encoding: 'utf8', timeout: deadline, killSignal: 'SIGKILL' } as const;
    const { status, stdout, stderr, error } = spawnSync(command, args, options);
    socket.end(JSON.stringify({ code: status ?? 128, stdout, stderr: error === undefined ? stderr : String(error) }));
  });
}).listen(Number(port), address, () => console.log('guest: takes commands'));
