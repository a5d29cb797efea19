import type { CAC, Command } from 'cac'
import { type FlagDefinition, flagDefinitions, splitWords } from '../cli/argv.ts'
import { COMPLETION_SCRIPTS, SHELLS, type Shell } from '../cli/completion/scripts.ts'
import { TOPICS } from '../cli/help-text.ts'
import { profilesOf, readConfigFile, STORE_KINDS } from '../config/file.ts'
import { configFolder, type Surroundings } from '../config/load.ts'
import { AtlasError } from '../errors.ts'
import type { Context } from './context.ts'

export interface Candidate {
  readonly value: string
  readonly description: string
}

const HELP: Candidate = { value: 'help', description: 'Show help for a command or a topic' }
const METHODS = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD']

/**
 * What may come next on a command line.
 * @param typed the words after `atlas`; the last one is being typed and may be empty.
 * @param profileNames asked for only where a profile can stand.
 */
export function complete(
  cli: CAC,
  typed: readonly string[],
  profileNames: () => readonly string[],
): Candidate[] {
  const { before, current, lead } = splitCurrent(typed)
  const globals = flagDefinitions(cli.globalCommand)
  const { words, rest } = splitWords(cli, globals, before)
  const command = cli.commands.find(({ name }) => name === words.join(' '))
  const flags = [
    ...(command ? flagDefinitions(command) : []),
    ...globals.filter(({ name }) => !command || name !== 'version'),
  ]

  const starting = (values: readonly Candidate[]): Candidate[] =>
    values
      .filter(({ value }) => value.startsWith(current))
      .map(({ value, description }) => ({ value: lead + value, description }))
  const plain = (values: readonly string[]): Candidate[] => values.map(value => ({ value, description: '' }))
  const valuesFor = (name: string): Candidate[] => {
    if (name === 'profile') return starting(plain(profileNames()))
    if (name === 'store') return starting(plain(['auto', ...STORE_KINDS]))
    return name === 'method' ? starting(plain(METHODS)) : []
  }

  const awaiting = awaitingValue(before.at(-1), flags)
  if (awaiting) return valuesFor(awaiting.name)
  if (current.startsWith('-'))
    return starting(flags.map(({ name, description }) => ({ value: `--${name}`, description })))
  if (words[0] === 'help') {
    const asked = [...words.slice(1), ...rest]
    return starting([...nextWords(cli, asked), ...(asked.length === 0 ? plain(TOPICS) : [])])
  }
  if (!command) return starting([...nextWords(cli, words), ...(words.length === 0 ? [HELP] : [])])
  const argument = command.args[rest.filter(word => !word.startsWith('-')).length]
  if (argument?.value === 'name') return starting(plain(profileNames()))
  return argument?.value === 'shell' ? starting(plain(SHELLS)) : []
}

/**
 * The word being typed, apart from those before it. `--store=fi` is the value of a flag; bash hands it
 * over as three words and wants the value alone back.
 */
function splitCurrent(typed: readonly string[]): {
  before: readonly string[]
  current: string
  lead: string
} {
  const current = typed.at(-1) ?? ''
  const before = typed.slice(0, -1)
  if (current === '=') return { before, current: '', lead: '' }
  if (before.at(-1) === '=') return { before: before.slice(0, -1), current, lead: '' }
  const [, flag, value] = /^(--[a-z-]+)=(.*)$/.exec(current) ?? []
  if (flag === undefined || value === undefined) return { before, current: current.trim(), lead: '' }
  return { before: [...before, flag], current: value, lead: `${flag}=` }
}

const awaitingValue = (
  previous: string | undefined,
  flags: readonly FlagDefinition[],
): FlagDefinition | undefined =>
  flags.find(
    ({ name, short, takesValue }) =>
      takesValue && (previous === `--${name}` || (short && previous === `-${short}`)),
  )

/** The commands, and groups of commands, that begin with the words so far. */
function nextWords(cli: CAC, words: readonly string[]): Candidate[] {
  const next = new Map<string, string>()
  for (const { name, description } of cli.commands) {
    const parts = name.split(' ')
    const word = parts[words.length]
    if (word === undefined || words.some((typed, index) => typed !== parts[index])) continue
    if (!next.has(word)) next.set(word, parts.length === words.length + 1 ? description : `${word} commands`)
  }
  return [...next].map(([value, description]) => ({ value, description }))
}

/** The names of the profiles in the config file; none where it cannot be read: completion stays silent. */
export function profileNames(surroundings: Surroundings): readonly string[] {
  try {
    return [...profilesOf(readConfigFile(configFolder(surroundings).value)).keys()]
  } catch (error) {
    if (error instanceof AtlasError) return []
    throw error
  }
}

export function parseShell(name: string): Shell {
  const shell = SHELLS.find(known => known === name)
  if (shell) return shell
  throw new AtlasError(
    'usage',
    `"${name.slice(0, 80)}" is no shell that atlas knows.`,
    `Use ${SHELLS.join(', ')}.`,
  )
}

export const registerCompletion = (cli: CAC, { terminal }: Context): Command =>
  cli
    .command('completion <shell>', 'Print a completion script for bash, zsh, fish or powershell')
    .example('  $ source <(atlas completion bash)')
    .example('  $ source <(atlas completion zsh)')
    .example('  $ atlas completion fish > ~/.config/fish/completions/atlas.fish')
    .action(async (shell: string) => terminal.raw(Buffer.from(COMPLETION_SCRIPTS[parseShell(shell)])))
