/** A list of objects of one kind, which can be read once and watched. */
import type { ConditionedStatus, KubeObjectBase, ResourceDescriptor } from '../api/meta.ts';
import type { CommandContext } from './command.ts';
import { fromKube } from './wait.ts';

export type Listed = KubeObjectBase & { readonly status?: ConditionedStatus };

export interface Listing<Params, T extends Listed, Row, Result> {
  readonly resource: ResourceDescriptor;
  /** Which of them. */
  select(params: Params): { readonly fieldSelector?: string; readonly labelSelector?: string };
  /** Their order. */
  compare(a: T, b: T): number;
  /** What is said of one; `isGone`: it was deleted just now. */
  rowOf(object: T, isGone?: boolean): Row;
  /** What is said of all of them. */
  resultOf(rows: readonly Row[]): Result;
}

/** The rows of everything that is selected. @throws CommandError */
export async function rowsOf<Params, T extends Listed, Row>(
  { resource, select, compare, rowOf }: Listing<Params, T, Row, unknown>,
  params: Params,
  { client, namespace, signal, timeoutMs }: Pick<CommandContext, 'client' | 'namespace' | 'signal' | 'timeoutMs'>,
): Promise<readonly Row[]> {
  const { items } = await client
    .list<T>(resource, { namespace, ...select(params), signal, timeoutMs })
    .catch((cause: unknown) => {
      throw fromKube(cause);
    });
  return items.toSorted(compare).map((object) => rowOf(object));
}
