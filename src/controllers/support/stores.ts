/** The stores of caches, under the same names. */
export function storesOf<C extends { readonly [K in keyof C]: { readonly store: unknown } }>(
  caches: C,
): { readonly [K in keyof C]: C[K]['store'] } {
  const stores: Partial<{ -readonly [K in keyof C]: C[K]['store'] }> = {};
  for (const name of Object.keys(caches) as (keyof C)[]) stores[name] = caches[name].store;
  return stores as { readonly [K in keyof C]: C[K]['store'] };
}
