/**
 * How the agents of a DaemonSet, which share one ServiceAccount, become one identity per node: each exchanges the token of
 * its pod for one of the ServiceAccount that is called as its node. Admission lets it do that for the node alone that the
 * API server has noted in the token of the pod (`authentication.kubernetes.io/node-name`, Kubernetes 1.32).
 */
import type { KubeObjectBase, ResourceDescriptor } from '../api/meta.ts';
import type { Clock } from '../telemetry/clock.ts';
import { systemClock } from '../telemetry/clock.ts';
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import { objectPath } from './resource-path.ts';

const SERVICE_ACCOUNTS: ResourceDescriptor = {
  group: '',
  version: 'v1',
  plural: 'serviceaccounts',
  kind: 'ServiceAccount',
  namespaced: true,
};

/** For how long a token is asked; admission allows no more. */
const TOKEN_SECONDS = 3600;
/** As client-go: a token is replaced when so much of its time is over. */
const REPLACE_AFTER = 0.8;
/** A token that could not be replaced is used for its whole time, and its replacement tried again so often. */
const RETRY_MS = 10_000;

export interface NodeAccount {
  readonly namespace: string;
  readonly nodeName: string;
}

interface TokenRequest {
  /** In the answer, what was granted. */
  readonly spec?: { readonly expirationSeconds?: number };
  readonly status?: { readonly token?: string };
}

/**
 * Returns what gives the present token of the node's ServiceAccount, which is made when it is not there.
 *
 * @param client Speaks as the pod of the agent.
 */
export function nodeAccountToken(
  client: KubeClient,
  account: NodeAccount,
  clock: Clock = systemClock,
): () => Promise<string> {
  let present: { readonly token: string; readonly replaceAt: number; readonly endsAt: number } | undefined;
  let asking: Promise<string> | undefined;
  const ask = async (): Promise<string> => {
    const askedAt = clock.monotonic();
    const { token, lifeMs } = await request(client, account);
    present = { token, replaceAt: askedAt + lifeMs * REPLACE_AFTER, endsAt: askedAt + lifeMs };
    return token;
  };
  return () => {
    const now = clock.monotonic();
    if (present !== undefined && now < present.replaceAt) return Promise.resolve(present.token);
    const old = present;
    asking ??= ask()
      .catch((thrown: unknown) => {
        if (old === undefined || clock.monotonic() >= old.endsAt) throw thrown;
        present = { ...old, replaceAt: clock.monotonic() + RETRY_MS };
        return old.token;
      })
      .finally(() => {
        asking = undefined;
      });
    return asking;
  };
}

async function request(client: KubeClient, account: NodeAccount) {
  const answer = await requestOnce(client, account).catch(async (thrown: unknown) => {
    if (!KubeError.from(thrown).isNotFound) throw thrown;
    await create(client, account);
    return requestOnce(client, account);
  });
  const token = answer.status?.token;
  if (token === undefined) {
    throw new KubeError({ reason: 'Configuration', message: 'the answer to a TokenRequest has no token in it' });
  }
  return { token, lifeMs: (answer.spec?.expirationSeconds ?? TOKEN_SECONDS) * 1000 };
}

async function requestOnce(client: KubeClient, { namespace, nodeName }: NodeAccount): Promise<TokenRequest> {
  const { text } = await client.raw({
    method: 'POST',
    path: objectPath(SERVICE_ACCOUNTS, { namespace, name: nodeName }, 'token'),
    body: {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: {
        expirationSeconds: TOKEN_SECONDS,
        // It ends with the node.
        boundObjectRef: { apiVersion: 'v1', kind: 'Node', name: nodeName },
      },
    },
  });
  return JSON.parse(text) as TokenRequest;
}

async function create(client: KubeClient, { namespace, nodeName }: NodeAccount): Promise<void> {
  const account: KubeObjectBase = {
    apiVersion: 'v1',
    kind: SERVICE_ACCOUNTS.kind,
    metadata: { namespace, name: nodeName },
  };
  await client.create(SERVICE_ACCOUNTS, account).catch((thrown: unknown) => {
    if (!KubeError.from(thrown).isAlreadyExists) throw thrown;
  });
}
