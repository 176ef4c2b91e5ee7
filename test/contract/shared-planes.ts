/**
 * Real control planes that two files of the suite share: each takes ten seconds of the processor to start, and some of it
 * as long as it runs. Files that share one stand next to each other in the order of the suite.
 */
import { RealControlPlane } from '../support/harness/real-control-plane.ts';
import { onEnd } from '../support/harness/run.ts';

type Content = Parameters<typeof RealControlPlane.start>[0];

const started = new Map<Content, Promise<RealControlPlane>>();

/** Starts it, or returns the one that runs. It is ended after the last test, where the last that uses it does not. */
export function sharedPlane(content: Content): Promise<RealControlPlane> {
  const running = started.get(content);
  if (running !== undefined) return running;
  const starting = RealControlPlane.start(content);
  started.set(content, starting);
  onEnd(() => endSharedPlane(content));
  return starting;
}

/** For the last that uses it. */
export async function endSharedPlane(content: Content): Promise<void> {
  const running = started.get(content);
  started.delete(content);
  await (await running)?.end();
}
