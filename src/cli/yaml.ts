/** The parts of `yaml` that the binary uses, as one module: loaded only by what reads or prints YAML. */
export { parse, parseAllDocuments, stringify } from 'yaml';
