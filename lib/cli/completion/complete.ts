import type { CAC } from 'cac'
import { profilesOf, readConfigFile } from '../../config/file.ts'
import { configFolder, type Surroundings } from '../../config/load.ts'
import { ALL_SETTINGS, flagOf } from '../../config/settings.ts'
import { AtlasError } from '../../errors.ts'
import { USUAL_METHODS } from '../../http/methods.ts'
import { findCommand, flagsOf, splitWords, takesCommand } from '../argv.ts'
import { flagDefinitions } from '../flags.ts'
import { TOPICS } from '../help-text.ts'
import { SHELLS } from './shells.ts'

/** What the shell offers, and what it says beside it. */
type Candidate = readonly [value: string, description: string]

const HELP: Candidate = ['help', 'Show help for a command or a topic']

/**
 * What may come next on a command line: a line for each candidate, value and description with a tab between.
 * @param typed the words after `atlas`; the last one is being typed and may be empty.
 */
export function complete(cli: CAC, typed: readonly string[], surroundings: Surroundings): string {
  const [, lead = '', flag, current = ''] = /^((--[a-z-]+)=)?(.*)$/s.exec(typed.at(-1) ?? '') ?? []
  const before = [...typed.slice(0, -1), ...(flag ? [flag] : [])]
  return candidatesAfter(cli, before, current.startsWith('-'), surroundings)
    .filter(([value]) => value.startsWith(current))
    .map(([value, description]) => `${lead}${value}\t${description}\n`)
    .join('')
}

function candidatesAfter(
  cli: CAC,
  before: readonly string[],
  wantsFlag: boolean,
  surroundings: Surroundings,
): Candidate[] {
  const { words, rest } = splitWords(cli, before)
  const command = findCommand(cli, words)
  const flags = command ? flagsOf(cli, command) : flagDefinitions(cli.globalCommand)

  // Another program's command line, which the shell completes.
  if (command && takesCommand(command) && rest.includes('--')) return []
  const previous = before.at(-1) ?? ''
  const awaiting = flags.find(({ name, short }) => [`--${name}`, `-${short}`].includes(previous))
  if (awaiting?.type === 'string') return valuesOf(awaiting.name, surroundings)
  if (wantsFlag) return flags.map(({ name, description }) => [`--${name}`, description])
  if (words[0] === 'help') {
    const topic = [...words.slice(1), ...rest]
    return [...nextWords(cli, topic), ...(topic.length === 0 ? plain(TOPICS) : [])]
  }
  if (!command) return [...nextWords(cli, words), ...(words.length === 0 ? [HELP] : [])]
  const argument = command.args[rest.filter(word => !word.startsWith('-')).length]
  return argument ? valuesOf(argument.value, surroundings) : []
}

/** The values of a flag or an argument; none where anything may stand. */
function valuesOf(name: string, surroundings: Surroundings): Candidate[] {
  if (name === 'profile' || name === 'name') return plain(profileNames(surroundings))
  if (name === 'shell') return plain(SHELLS)
  if (name === 'method') return plain(USUAL_METHODS)
  return plain(ALL_SETTINGS.find(setting => flagOf(setting) === `--${name}`)?.choices ?? [])
}

const plain = (values: readonly string[]): Candidate[] => values.map(value => [value, ''])

/** The commands, and groups of commands, that begin with the words so far. */
function nextWords(cli: CAC, words: readonly string[]): Candidate[] {
  const next = new Map<string, string>()
  for (const { name, description } of cli.commands) {
    const parts = name.split(' ')
    const word = parts[words.length]
    if (word === undefined || words.some((typed, index) => typed !== parts[index])) continue
    if (!next.has(word)) next.set(word, parts.length === words.length + 1 ? description : `${word} commands`)
  }
  return [...next]
}

/** None where the config file cannot be read: completion stays silent. */
function profileNames(surroundings: Surroundings): readonly string[] {
  try {
    return [...profilesOf(readConfigFile(configFolder(surroundings).value)).keys()]
  } catch (error) {
    if (error instanceof AtlasError) return []
    throw error
  }
}
