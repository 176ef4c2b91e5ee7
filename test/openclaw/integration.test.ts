/** What is given to the gateway: the plugin and the skill, held against the commands that there are. */
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { expect } from 'chai';
import { describe, it } from 'mocha';
import { parse } from 'yaml';
import { checkParameters } from '../../src/commands/parameters.ts';
import { COMMANDS } from '../../src/commands/registry.ts';
import { INTEGRATION, SKILL_FILE, skillExamples } from '../support/skill-examples.ts';

interface Policy {
  readonly commands: readonly string[];
  readonly defaultPlatforms: readonly string[];
  readonly dangerous?: boolean;
  handle(context: { invokeNode(): unknown }): unknown;
}

const text = readFileSync(SKILL_FILE, 'utf8');

describe('the OpenClaw skill', () => {
  const [, frontmatter = ''] = /^---\n([\s\S]*?)\n---\n/.exec(text) ?? [];
  const fields = parse(frontmatter) as Readonly<Record<string, unknown>>;

  it('has the header that OpenClaw accepts', () => {
    expect(fields['name']).to.equal(basename(dirname(SKILL_FILE)));
    const description = String(fields['description']);
    expect(description.length).to.be.lessThan(160);
    expect(description).not.to.include('\n');
    // Checked on the gateway, which has none of what its nodes have.
    expect(JSON.stringify(fields['metadata'])).not.to.include('requires');
  });

  it('names every command, and every parameter of each', () => {
    for (const { name, parameters } of COMMANDS) {
      expect(text, name).to.include(`\`${name}\``);
      for (const parameter of Object.keys(parameters.properties)) {
        expect(text, `${name} ${parameter}`).to.include(`\`${parameter}\``);
      }
    }
  });

  it('has an example of every command, with parameters that it takes', () => {
    const examples = skillExamples();
    for (const { name, parameters } of COMMANDS) {
      const own = examples.filter(({ command }) => command === name);
      expect(own, name).not.to.deep.equal([]);
      for (const { params } of own) checkParameters(name, parameters, params);
    }
  });
});

describe('the OpenClaw plugin', () => {
  const read = (file: string) => JSON.parse(readFileSync(join(INTEGRATION, file), 'utf8')) as Record<string, unknown>;

  it('passes the commands of the product on, and no others than the skill tells of', async () => {
    const policies: Policy[] = [];
    const plugin = (await import(join(INTEGRATION, 'index.js'))) as {
      readonly default: { readonly id: string; register(api: unknown): void };
    };
    plugin.default.register({ registerNodeInvokePolicy: (policy: Policy) => policies.push(policy) });
    const [policy] = policies;
    expect(policy?.commands).to.include.members(COMMANDS.map(({ name }) => name));
    for (const name of policy?.commands ?? []) expect(text).to.include(`\`${name}\``);
    expect(policy?.defaultPlatforms).to.deep.equal(['linux']);
    expect(policy?.dangerous).to.equal(undefined);
    expect(policy?.handle({ invokeNode: () => 'the answer of the node' })).to.equal('the answer of the node');
    expect(plugin.default.id).to.equal(read('openclaw.plugin.json')['id']);
  });

  it('brings the skill along, and takes no settings', () => {
    const { skills, configSchema } = read('openclaw.plugin.json') as {
      readonly skills: string[];
      configSchema: unknown;
    };
    expect(join(INTEGRATION, skills[0] ?? '')).to.equal(dirname(dirname(SKILL_FILE)));
    expect(configSchema).to.deep.equal({ type: 'object', additionalProperties: false, properties: {} });
    expect(read('package.json')['openclaw']).to.deep.equal({ extensions: ['./index.js'] });
  });
});
