/**
 * Runs work that Ctrl-C (or SIGTERM) ends in order. Then this process ends as one that was interrupted and not with a
 * code of its own: the shell of a script that waits for it would go on otherwise. A second signal ends it at once.
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let received: NodeJS.Signals | undefined;
  const onSignal = (name: NodeJS.Signals): void => {
    if (received !== undefined) endBy(name);
    received = name;
    controller.abort(new Error(`stopped by ${name}`));
  };
  const endBy = (name: NodeJS.Signals): void => {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    process.kill(process.pid, name);
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  try {
    return await work(controller.signal);
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
    if (received !== undefined) endBy(received);
  }
}
