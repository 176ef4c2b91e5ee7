/** A hostPath volume with one mount, both of this name, as kubectl takes them. */
export function mountedHostPath(name: string, path: string): string {
  const apiVersion = 'storage.clawbernetes.io/v1alpha1';
  const metadata = { name, namespace: 'default' };
  return [
    { apiVersion, kind: 'Volume', metadata, spec: { hostPath: { path, type: 'DirectoryOrCreate' }, capacity: '10Gi' } },
    { apiVersion, kind: 'VolumeMount', metadata, spec: { volumeRef: { name }, workloadId: 'w', mountPath: '/data' } },
  ]
    .map((object) => JSON.stringify(object))
    .join('\n');
}
