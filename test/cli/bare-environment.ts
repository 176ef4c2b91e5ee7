/**
 * The environment in which tests run the binary from its sources: programs are found, what Node has compiled is kept, and
 * no setting of the person who runs the tests is there.
 */
export function bareEnvironment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const { PATH, NODE_COMPILE_CACHE } = process.env;
  return { PATH, NODE_COMPILE_CACHE, ...more };
}
