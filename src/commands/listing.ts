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
  /** Whether it was asked for, where the server cannot tell. */
  wants?(row: Row, params: Params): boolean;
  /** What is said of all of them. */
  resultOf(rows: readonly Row[]): Result;
}

/** What a list is read with. */
export type ReadContext = Pick<CommandContext, 'client' | 'namespace' | 'signal'>;

/** Lists that are shown as one: of several kinds, or with what is read beside them. */
export type Listings<Params, T extends Listed, Row, Result> = (
  context: ReadContext,
) => Promise<readonly Listing<Params, T, Row, Result>[]>;

/** The rows of everything that is selected. @throws CommandError */
export async function rowsOf<Params, T extends Listed, Row>(
  { resource, select, compare, rowOf, wants = () => true }: Listing<Params, T, Row, unknown>,
  params: Params,
  { client, namespace, signal, timeoutMs }: ReadContext & Pick<CommandContext, 'timeoutMs'>,
): Promise<readonly Row[]> {
  const { items } = await client
    .list<T>(resource, { namespace, ...select(params), signal, timeoutMs })
    .catch((cause: unknown) => {
      throw fromKube(cause);
    });
  return items
    .toSorted(compare)
    .map((object) => rowOf(object))
    .filter((row) => wants(row, params));
}
