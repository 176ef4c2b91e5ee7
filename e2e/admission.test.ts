/** What the API server accepts, refuses and fills in, case by case, on whichever API server this run uses. */
import { expect } from 'chai';
import { after, before, describe, it } from 'mocha';
import { type KubeObjectBase, NAMESPACES, OUR_RESOURCES, type ResourceDescriptor } from '../src/api/meta.ts';
import type { KubeClient } from '../src/kube/client.ts';
import { KubeError } from '../src/kube/errors.ts';
import { ADMISSION_CASES, type AdmissionCase, type AdmissionObject } from '../test/api/admission-cases.ts';
import { type Api, startApi } from '../test/support/harness/api.ts';
import { controlPlaneKind } from '../test/support/harness/control-plane.ts';
import { waitFor } from '../test/support/harness/wait.ts';

const NAMESPACE = 'admission';

describe(`admission, ${controlPlaneKind} API server`, function () {
  this.timeout(300_000);
  let api: Api;
  let client: KubeClient;

  before(async () => {
    api = await startApi();
    client = api.client;
    await client.create(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE } });
    // A fresh CRD is served a moment before it is stored: until then creations are answered with 404 or 429.
    const probe = { apiVersion: 'storage.clawbernetes.io/v1alpha1', kind: 'VolumeClass', metadata: { name: 'probe' } };
    await waitFor(
      async () => {
        for (const resource of OUR_RESOURCES) await client.list(resource, { limit: 1 });
        return KubeError.from(await client.create(resourceOf(probe.kind), probe).catch((e: unknown) => e)).isInvalid;
      },
      { message: 'the kinds to be served' },
    );
  });

  after(async () => {
    await api?.end();
  });

  for (const test of ADMISSION_CASES) {
    it(test.name, async () => {
      const resource = resourceOf(test.object.kind);
      try {
        await prepare(client, resource, test);
        await check(client, resource, test);
      } finally {
        const ref = { ...scopeOf(resource), name: test.object.metadata.name };
        await client.delete(resource, ref).catch((thrown: unknown) => {
          if (!KubeError.from(thrown).isNotFound) throw thrown;
        });
      }
    });
  }
});

async function prepare(client: KubeClient, resource: ResourceDescriptor, { before: old, status }: AdmissionCase) {
  if (old === undefined) return;
  await client.create(resource, placed(resource, old), { fieldValidation: 'Strict' });
  if (status === undefined) return;
  const ref = { ...scopeOf(resource), name: old.metadata.name };
  await client.patch(resource, ref, { status }, { type: 'merge', subresource: 'status' });
}

async function check(client: KubeClient, resource: ResourceDescriptor, test: AdmissionCase): Promise<void> {
  const ref = { ...scopeOf(resource), name: test.object.metadata.name };
  const send = async (): Promise<KubeObjectBase> => {
    const object = placed(resource, test.object);
    if (test.before === undefined) return client.create(resource, object, { fieldValidation: 'Strict' });
    const { resourceVersion } = (await client.get(resource, ref)).metadata;
    const update = { ...object, metadata: { ...object.metadata, ...(resourceVersion ? { resourceVersion } : {}) } };
    return client.replace(resource, update, { fieldValidation: 'Strict' });
  };
  if (test.refused === undefined) {
    const object = await send();
    for (const [path, value] of Object.entries(test.expect ?? {})) {
      expect(valueAt(object, path), path).to.deep.equal(value);
    }
    return;
  }
  const error = await send().then(
    () => expect.fail('was accepted'),
    (thrown: unknown) => KubeError.from(thrown),
  );
  expect(error.status, error.message).to.be.oneOf([400, 422]);
  const named = [error.message, ...error.causes.map(({ field }) => field ?? '')];
  expect(
    named.some((text) => text.includes(test.refused?.field ?? '')),
    `names ${test.refused.field}: ${error.message}`,
  ).to.equal(true);
  expect(error.message).to.include(test.refused.message);
}

function resourceOf(kind: string): ResourceDescriptor {
  const resource = OUR_RESOURCES.find((candidate) => candidate.kind === kind);
  if (resource === undefined) throw new Error(`no resource of kind ${kind}`);
  return resource;
}

const scopeOf = (resource: ResourceDescriptor) => (resource.namespaced ? { namespace: NAMESPACE } : {});

function placed(resource: ResourceDescriptor, object: AdmissionObject): KubeObjectBase {
  return { ...object, metadata: { ...object.metadata, ...scopeOf(resource) } };
}

function valueAt(object: unknown, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((at, key) => (at as Readonly<Record<string, unknown>> | undefined)?.[key], object);
}
