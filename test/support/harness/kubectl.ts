/** The real kubectl, against one kubeconfig. */
import { join } from 'node:path';
import { stringify } from 'yaml';
import { type ToolName, toolPath } from '../../../scripts/tools.ts';
import { type ExecOptions, type ExecResult, exec } from './exec.ts';

/** A fifth of what a command computes is collecting what goes with it anyway. Source: the package runtime of Go. */
const UNCOLLECTED = { GOGC: 'off', GOMEMLIMIT: '512MiB' } as const;

export class Kubectl {
  readonly binary: string;
  readonly #kubeconfig: string;
  readonly #home: string;

  private constructor(binary: string, kubeconfig: string, home: string) {
    this.binary = binary;
    this.#kubeconfig = kubeconfig;
    this.#home = home;
  }

  /** `home` takes its discovery cache, so that no other run's answers are used, and what it leaves lying about. */
  static async for(kubeconfig: string, home: string, tool: ToolName = 'kubectl'): Promise<Kubectl> {
    return new Kubectl(await toolPath(tool), kubeconfig, home);
  }

  /** What a shell would export to get the same kubectl. */
  get env(): Readonly<Record<string, string>> {
    return {
      KUBECONFIG: this.#kubeconfig,
      HOME: this.#home,
      KUBECACHEDIR: join(this.#home, 'kube-cache'),
      TMPDIR: this.#home,
      ...UNCOLLECTED,
    };
  }

  /** Runs it, whatever the outcome. */
  try(args: readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return exec(this.binary, args, { ...options, env: { ...this.env, ...options.env } });
  }

  /** Runs it and returns what it prints. @throws Error when it fails. */
  async run(args: readonly string[], options: ExecOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.try(args, options);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${code}:\n${stderr}${stdout}`);
    return stdout;
  }

  /** `kubectl apply -f -` of some objects. */
  apply(objects: readonly unknown[], ...args: readonly string[]): Promise<string> {
    return this.run(['apply', ...args, '-f', '-'], { input: objects.map((object) => stringify(object)).join('---\n') });
  }
}
