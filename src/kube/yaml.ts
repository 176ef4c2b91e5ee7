/** The part of `yaml` that reads kubeconfigs, as one module: loaded only where one is not JSON. */
export { parse } from 'yaml';
