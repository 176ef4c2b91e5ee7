/**
 * undici's Agent without the rest of the package: fetch, WebSocket, caches and mocks are 60 ms of every start of a
 * command, and nobody uses them here.
 */
import request from 'undici/lib/api/api-request.js';
import Agent from 'undici/lib/dispatcher/agent.js';
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';

// The package's entry adds what sends requests in the same way.
Object.assign(Dispatcher.prototype, { request });

export { Agent };
