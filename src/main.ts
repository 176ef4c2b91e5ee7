/** The binary's entry: parse, run, exit code. What each command is made of is in `cli/program.ts`. */
import { runProgram } from './cli/program.ts';

// Told by the launcher (bin/clawstore), and of no interest to processes that are started from here.
const calledAs = process.env['CLAWSTORE_CALLED_AS'];
delete process.env['CLAWSTORE_CALLED_AS'];

process.exitCode = await runProgram(process.argv.slice(2), calledAs);
