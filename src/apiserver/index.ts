/** The embedded control plane: a Kubernetes-compatible API server for one machine. */
export { CrdError } from './kinds/custom.ts';
export {
  type ApiServer,
  type ApiServerOptions,
  KUBERNETES_VERSION,
  type Limits,
  type ServerLog,
  startApiServer,
} from './server.ts';
export { LockedError } from './storage/lock.ts';
export { StorageError } from './storage/revision-log.ts';
