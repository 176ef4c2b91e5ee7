/** What the controllers may write on a cluster besides our kinds: RBAC and admission policies, at a real API server. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { parse } from 'yaml';
import { type Answer, Client } from '../../apiserver/access/support.ts';
import { WRITE_CASES, type WriteCase, type WrittenObject } from '../../support/controller-access-cases.ts';
import type { RealControlPlane } from '../../support/harness/real-control-plane.ts';
import { waitFor } from '../../support/harness/wait.ts';
import { sharedPlane } from '../shared-planes.ts';

interface RoleRef {
  readonly kind: string;
  readonly name: string;
}

describe('the controllers, at a real API server', function () {
  this.timeout(120_000);
  let plane: RealControlPlane;
  let admin: Client;
  let controller: Client;

  before(async () => {
    plane = await sharedPlane('installed');
    const config = parse(readFileSync(plane.kubeconfig, 'utf8')) as {
      readonly users: readonly { readonly user: { readonly token: string } }[];
    };
    const server = { url: plane.server, caPem: readFileSync(join(plane.directory, 'certs/apiserver.crt'), 'utf8') };
    admin = new Client(server, { token: config.users[0]?.user.token ?? '' });
    controller = new Client(server, await plane.credential('controller', 'c'));
  });

  after(async () => {
    await controller?.close();
    await admin?.close();
  });

  const collection = (resource: string, namespace: string): string =>
    `${resource.startsWith('role') ? '/apis/rbac.authorization.k8s.io/v1' : '/api/v1'}/namespaces/${namespace}/${resource}`;

  /** Puts what a case begins with in its place. @returns what takes it away. */
  const prepare = async ({ resource, namespace, old, object }: WriteCase): Promise<() => Promise<void>> => {
    const roleRef = (object ?? old)?.['roleRef'] as RoleRef | undefined;
    const { apiVersion } = object ?? old ?? { apiVersion: '' };
    const role: WrittenObject | undefined =
      roleRef?.kind === 'Role' ? { apiVersion, kind: 'Role', metadata: { name: roleRef.name } } : undefined;
    const made: string[] = [];
    for (const [path, one] of [
      [collection('roles', namespace), role],
      [collection(resource, namespace), old],
    ] as const) {
      if (one === undefined) continue;
      const { code, text } = await admin.ask(path, { method: 'POST', body: one });
      expect(code, text).to.equal(201);
      made.push(`${path}/${one.metadata.name}`);
    }
    return async () => {
      for (const path of made) expect((await admin.ask(path, { method: 'DELETE' })).code, path).to.equal(200);
    };
  };

  const attempt = ({ resource, namespace, old, object }: WriteCase): Promise<Answer> => {
    const path = collection(resource, namespace);
    if (old === undefined) return controller.ask(`${path}?dryRun=All`, { method: 'POST', body: object });
    const one = `${path}/${old.metadata.name}?dryRun=All`;
    return controller.ask(one, object === undefined ? { method: 'DELETE' } : { method: 'PUT', body: object });
  };

  for (const one of WRITE_CASES) {
    it(one.name, async () => {
      const takeAway = await prepare(one);
      let answer: Answer | undefined;
      try {
        // Rights and policies take effect a moment after they are made.
        await waitFor(
          async () => {
            answer = await attempt(one);
            const { code, text } = answer;
            if (one.policy === undefined) return code === 200 || code === 201;
            return code === 403 && text.includes(`'${one.policy}'`);
          },
          {
            deadline: 60_000,
            message: one.policy === undefined ? 'to be allowed' : `to be refused by ${one.policy}`,
            instead: () => `${answer?.code} ${answer?.text}`,
          },
        );
      } finally {
        await takeAway();
      }
    });
  }

  it('may not delete a ConfigMap', async () => {
    const path = collection('configmaps', 'default');
    const { code, text } = await controller.ask(`${path}/kube-root-ca.crt?dryRun=All`, { method: 'DELETE' });
    expect(code, text).to.equal(403);
  });
});
