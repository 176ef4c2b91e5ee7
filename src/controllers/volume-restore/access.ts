/** How an agent reaches the repository that it restores from. */
import type { AccessResolution } from '../policy/repository.ts';
import type { AgentDependencies } from '../support/agent.ts';
import type { AccessRequest, BackupTools } from '../support/repository-access.ts';
import { repositoryAccess } from '../support/repository-access.ts';

export type AccessOf = (request: AccessRequest) => AccessResolution;

/** Judges locations with what this node knows. */
export function accessResolver(
  deps: Pick<AgentDependencies, 'stores' | 'hostPathAllow' | 'named' | 'nodeName'>,
  tools: BackupTools,
): AccessOf {
  return (request) => {
    const { hostPath, nodeName } = request.location;
    if (hostPath === undefined || nodeName === deps.nodeName) return repositoryAccess(deps, tools, request);
    const message = `The repository is a directory of node "${nodeName}", which node "${deps.nodeName}" cannot read; restore to that node, or from a repository on a server.`;
    return { ok: false, refusal: { reason: 'NodeMismatch', message, stalled: true } };
  };
}
