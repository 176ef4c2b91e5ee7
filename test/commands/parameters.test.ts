import { globSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { CommandError } from '../../src/commands/command-error.ts';
import { checkParameters, type ParameterSchema } from '../../src/commands/parameters.ts';
import { COMMANDS } from '../../src/commands/registry.ts';

const create = COMMANDS.find(({ name }) => name === 'volume.create');
const schema = create?.parameters ?? { required: [], properties: {} };

describe('command parameters', () => {
  it('are completed with the documented defaults', () => {
    expect(checkParameters('volume.create', schema, { name: 'a' })).to.deep.equal({
      name: 'a',
      type: 'emptydir',
      sizeGb: 10,
      accessMode: 'ReadWriteOnce',
    });
  });

  const refused: readonly (readonly [unknown, string | undefined, string])[] = [
    [{}, 'name', 'required'],
    [{ name: 'a', size: 1 }, 'size', 'unknown parameter "size" (known: name'],
    [{ name: 'a', sizeGb: 0 }, 'sizeGb', 'must be > 0'],
    [{ name: 'a', sizeGb: '10' }, 'sizeGb', 'must be number'],
    [{ name: 'a', type: 'iscsi' }, 'type', 'must be one of emptydir, hostpath, nfs, s3'],
    [{ name: 'a', accessMode: 'Any' }, 'accessMode', 'must be one of ReadWriteOnce'],
    [{ name: 7 }, 'name', 'must be string'],
    [[], undefined, 'must be a JSON object'],
    [null, undefined, 'must be a JSON object'],
  ];
  for (const [params, field, fragment] of refused) {
    it(`${JSON.stringify(params)} is refused and names the field`, () => {
      expect(() => checkParameters('volume.create', schema, params))
        .to.throw(CommandError, fragment)
        .with.property('field', field);
    });
  }

  it('are never changed in place', () => {
    const params = { name: 'a' };
    checkParameters('volume.create', schema, params);
    expect(params).to.deep.equal({ name: 'a' });
  });

  it('are described by what is a schema, for every command that there is', async () => {
    const folder = join(import.meta.dirname, '../../src/commands');
    const ajv = new Ajv({ strict: true });
    const names = new Set<string>();
    for (const file of globSync('**/*.ts', { cwd: folder })) {
      for (const one of Object.values((await import(join(folder, file))) as Record<string, unknown>)) {
        if (!isCommand(one)) continue;
        expect(() => ajv.compile({ type: 'object', ...one.parameters }), one.name).to.not.throw();
        names.add(one.name);
      }
    }
    expect([...names]).to.include.members(COMMANDS.map(({ name }) => name));
  });

  it('say for every command what each one means', () => {
    for (const { name, parameters, summary } of COMMANDS) {
      expect(summary, name).to.match(/\.$/);
      for (const [key, property] of Object.entries(parameters.properties)) {
        expect(property.description, `${name} ${key}`).to.match(/\.$/);
      }
    }
  });
});

function isCommand(value: unknown): value is { readonly name: string; readonly parameters: ParameterSchema } {
  return typeof value === 'object' && value !== null && 'name' in value && 'parameters' in value;
}
