/** The real Helm, with its own places below a directory of the test. */
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { toolPath } from '../../../scripts/tools.ts';
import { type ExecResult, exec } from './exec.ts';

export class Helm {
  readonly #binary: string;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(binary: string, home: string, kubeconfig: string) {
    this.#binary = binary;
    this.#env = {
      HOME: home,
      KUBECONFIG: kubeconfig,
      HELM_CACHE_HOME: join(home, 'helm/cache'),
      HELM_CONFIG_HOME: join(home, 'helm/config'),
      HELM_DATA_HOME: join(home, 'helm/data'),
    };
  }

  static async for(home: string, kubeconfig = ''): Promise<Helm> {
    return new Helm(await toolPath('helm'), home, kubeconfig);
  }

  /** Runs it, whatever the outcome. */
  try(args: readonly string[]): Promise<ExecResult> {
    return exec(this.#binary, args, { env: this.#env });
  }

  /** Runs it and returns what it prints. @throws Error when it fails. */
  async run(args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.try(args);
    if (code !== 0) throw new Error(`helm ${args.join(' ')} ended with ${code}:\n${stderr}${stdout}`);
    return stdout;
  }

  /** The objects of a chart with these values. */
  async template(
    chart: string,
    values: readonly string[] = [],
    ...args: readonly string[]
  ): Promise<readonly unknown[]> {
    const text = await this.run(['template', 'clawstore', chart, ...args, ...set(values)]);
    return parseAllDocuments(text)
      .map((document): unknown => document.toJS())
      .filter((object) => object !== null);
  }
}

/** Values as flags; what is no text is JSON. */
export function set(values: readonly string[]): readonly string[] {
  return values.flatMap((value) => ['--set-json', value]);
}
