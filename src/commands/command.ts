/**
 * A `node.invoke` command: a thin, validated face over the objects. Each creates or changes objects, waits for the
 * condition that answers it, and returns. Running it again with the same parameters is harmless.
 */
import type { KubeClient } from '../kube/client.ts';
import type { ParameterSchema } from './parameters.ts';
import type { Conditioned } from './wait.ts';

/** What a command may use. It acts on one node, in one namespace. */
export interface CommandContext {
  readonly client: KubeClient;
  readonly namespace: string;
  /** undefined: the controller chooses one; a volume is mounted where it is. */
  readonly nodeName: string | undefined;
  /** Host prefixes of this node for volumes of its own making; the first one is used. */
  readonly hostPathAllow: readonly string[];
  /** Ends the wait; what was begun goes on. */
  readonly signal: AbortSignal;
  /** How long to wait for the answering condition, in milliseconds. */
  readonly timeoutMs: number;
  /**
   * The caller's own name for this request, where it has one: the same again is answered for what the first one began.
   * Any text.
   */
  readonly requestId?: string | undefined;
  /** Told of each state of the object that is waited for. */
  readonly onObject?: ((object: Conditioned | undefined) => void) | undefined;
}

export interface Command<Params, Result> {
  /** As callers write it, e.g. `volume.create`. */
  readonly name: string;
  /** One sentence for `clawstore invoke --help`. */
  readonly summary: string;
  readonly parameters: ParameterSchema;
  /** It changes nothing: offered where a node is open for reading only. */
  readonly readOnly?: true;
  /** @throws CommandError */
  run(params: Params, context: CommandContext): Promise<Result>;
}
