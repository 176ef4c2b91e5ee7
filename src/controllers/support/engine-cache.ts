/** Below the state directory: what the engine keeps of repositories. It may go at any time. */
export const ENGINE_CACHE = 'engine-cache';
