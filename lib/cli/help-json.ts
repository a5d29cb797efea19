import type { CAC, Command } from 'cac'
import { ALL_SETTINGS, flagOf } from '../config/settings.ts'
import { VERSION } from '../version.ts'
import { flagsOf, takesCommand } from './argv.ts'
import { SHELLS } from './completion/shells.ts'
import { type FlagDefinition, flagDefinitions } from './flags.ts'
import { usageLine } from './help.ts'
import { DETAILS, ENDINGS, ENVIRONMENT, INTRODUCTION } from './help-text.ts'

/** Counts up when a field changes its meaning or goes; new fields may come without that. */
const SCHEMA_VERSION = 1

/**
 * Help for programs: commands, flags, variables and how commands end; see docs/help.schema.json.
 * @param words a command or a group, whose commands alone are described; a topic has none.
 */
export function describeForPrograms(cli: CAC, words: readonly string[]) {
  const topic = words.join(' ')
  const commands = cli.commands.filter(
    ({ name }) => topic === '' || name === topic || name.startsWith(`${topic} `),
  )
  return {
    schema_version: SCHEMA_VERSION,
    name: cli.name,
    version: VERSION,
    description: INTRODUCTION,
    commands: commands.map(command => describeCommand(cli, command)),
    flags: flagDefinitions(cli.globalCommand).map(describeFlag),
    environment: ENVIRONMENT.map(([name, meaning]) => describeVariable(name, meaning)),
    exit_codes: ENDINGS.flatMap(({ statuses, meaning, codes }) =>
      statuses.map(status => ({ status, meaning, error_codes: codes })),
    ),
  }
}

function describeCommand(cli: CAC, command: Command) {
  const own = flagsOf(cli, command).slice(0, command.options.length)
  return {
    name: command.name,
    description: command.description,
    details: DETAILS[command.name] ?? [],
    usage: `atlas ${usageLine(command)}`,
    arguments: command.args.map(({ value, required, variadic }) => ({
      name: value,
      required,
      variadic,
      values: value === 'shell' ? SHELLS : null,
    })),
    /** Whether the arguments are another program's, and stand behind `--`. */
    passes_arguments_on: takesCommand(command),
    flags: own.map(describeFlag),
    examples: command.examples.map(line => String(line).trim().replace(/^\$ /, '')),
  }
}

function describeFlag({ name, short, usage, description }: FlagDefinition) {
  const setting = ALL_SETTINGS.find(one => flagOf(one) === `--${name}`)
  return {
    name: `--${name}`,
    short: short === undefined ? null : `-${short}`,
    /** What the value is called; null for a switch. */
    value: /<(.+)>/.exec(usage)?.[1] ?? null,
    description,
    default: defaultIn(description),
    values: setting?.choices ?? null,
  }
}

function describeVariable(name: string, meaning: string) {
  const setting = ALL_SETTINGS.find(({ variable }) => variable === name)
  return {
    name,
    description: meaning,
    flag: (setting && flagOf(setting)) ?? null,
    default: defaultIn(meaning),
    values: setting?.choices ?? null,
  }
}

/** The default as help says it, in words. */
const defaultIn = (text: string): string | null => /[(;] ?default: (.*?)\)$/.exec(text)?.[1] ?? null
