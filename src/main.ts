/** The binary's entry: parse, run, exit code. What each command is made of is in `cli/program.ts`. */
import { runProgram } from './cli/program.ts';

process.exitCode = await runProgram(process.argv.slice(2));
