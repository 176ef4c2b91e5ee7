/** The examples of the OpenClaw skill, read out of its text, so that tests run what agents are told to do. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const INTEGRATION = join(import.meta.dirname, '../../integrations/openclaw');
export const SKILL_FILE = join(INTEGRATION, 'skills/clawstore/SKILL.md');

export interface SkillExample {
  readonly command: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** Every example, in the order in which they stand there: calls of the tool, and commands with their parameters. */
export function skillExamples(text: string = readFileSync(SKILL_FILE, 'utf8')): readonly SkillExample[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].flatMap(([, language, body = '']) =>
    language === 'json' ? [toolCall(body)] : body.trimEnd().split('\n').map(shortForm),
  );
}

function toolCall(body: string): SkillExample {
  const { action, invokeCommand, invokeParamsJson } = JSON.parse(body) as Readonly<Record<string, string>>;
  if (action !== 'invoke' || invokeCommand === undefined) throw new Error(`no call of a command: ${body}`);
  return { command: invokeCommand, params: JSON.parse(invokeParamsJson ?? '{}') as SkillExample['params'] };
}

function shortForm(line: string): SkillExample {
  const match = /^([a-z]+\.[a-z]+) (\{.*\})$/.exec(line);
  if (match === null) throw new Error(`no command with parameters: ${line}`);
  return { command: match[1] ?? '', params: JSON.parse(match[2] ?? '') as SkillExample['params'] };
}
