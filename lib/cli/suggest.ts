import type { CAC } from 'cac'
import { AtlasError } from '../errors.ts'
import { type FlagDefinition, flagDefinitions } from './flags.ts'

/*
 * What was probably meant by an unknown command or flag.
 */

/** What other programs call it. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  whoami: 'auth status',
  pull: 'sync',
  get: 'api',
}

/** @param topics the topics of help, where one of them could have been meant. */
export async function unknownCommand(
  cli: CAC,
  words: readonly string[],
  topics: readonly string[] = [],
): Promise<AtlasError> {
  const [group = '', ...others] = words
  const names = cli.commands.map(({ name }) => name)
  const members = names.filter(name => name.startsWith(`${group} `))
  // The first word of a group's commands must not make the others look alike.
  const [typed, meanings] =
    members.length > 0
      ? [others.join(' '), new Map(members.map(name => [lastWord(name), name]))]
      : [words.join(' '), meaningsOf(names, topics, flagDefinitions(cli.globalCommand))]
  const meant = meanings.get(typed) ?? meanings.get((await nearest(typed, [...meanings.keys()])) ?? '')
  return new AtlasError(
    'usage',
    `There is no command "atlas ${words.join(' ')}".`,
    meant ? `Did you mean "atlas ${meant}"?` : seeHelp(members.length > 0 ? `atlas ${group}` : 'atlas'),
  )
}

const lastWord = (name: string): string => name.split(' ').at(-1) ?? ''

/** What people type, and what it means. They also type the second word alone, or a flag as a word: `atlas version`. */
function meaningsOf(
  names: readonly string[],
  topics: readonly string[],
  flags: readonly FlagDefinition[],
): Map<string, string> {
  const groups = names.flatMap(name => name.split(' ').slice(0, -1))
  return new Map([
    ...Object.entries(OTHER_NAMES),
    ...flags.map(({ name }): [string, string] => [name, `--${name}`]),
    ...topics.map((topic): [string, string] => [topic, `help ${topic}`]),
    ...names.map((name): [string, string] => [lastWord(name), name]),
    ...[...groups, ...names].map((name): [string, string] => [name, name]),
  ])
}

/** @param command as typed, `atlas auth login`. */
export async function unknownFlag(
  rawName: string,
  definitions: readonly FlagDefinition[],
  command: string,
): Promise<AtlasError> {
  const takesPassword = definitions.some(({ name }) => name === 'password-stdin')
  if (takesPassword && (rawName === '--password' || rawName === '-p'))
    return new AtlasError(
      'usage',
      `${command} has no flag ${rawName}.`,
      'No flag takes a password, which every user of the machine could read: pipe it into --password-stdin.',
    )
  const otherCase = definitions.find(({ short }) => `-${short}`.toLowerCase() === rawName.toLowerCase())
  const names = definitions.map(({ name }) => `--${name}`)
  const meant = otherCase ? `-${otherCase.short}` : await nearest(rawName, names)
  const hint = meant ? `Did you mean ${meant}?` : seeHelp(command)
  return new AtlasError('usage', `${command} has no flag ${rawName}.`, hint)
}

/** The name that is spelled most like what was typed, if one is close enough to be meant. */
export async function nearest(typed: string, names: readonly string[]): Promise<string | undefined> {
  const { distance } = await import('fastest-levenshtein')
  const [best] = names
    .map(name => ({ name, away: distance(typed, name) }))
    .filter(({ name, away }) => away <= Math.max(name.length < 4 ? 1 : 2, Math.floor(name.length / 3)))
    .sort((a, b) => a.away - b.away)
  return best?.name
}

/** @param command as typed, `atlas auth login`. */
export const seeHelp = (command: string): string => `See: ${command} --help`
