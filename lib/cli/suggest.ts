import type { CAC } from 'cac'
import { type AtlasError, usageError } from '../errors.ts'
import { type FlagDefinition, flagDefinitions, seeHelp } from './flags.ts'
import { TOPICS } from './help-text.ts'

/** What other programs call it. */
const OTHER_NAMES = { whoami: 'auth status', pull: 'sync', get: 'api' }

export async function unknownCommand(cli: CAC, words: readonly string[]): Promise<AtlasError> {
  const [group = '', ...others] = words
  const members = cli.commands.map(({ name }) => name).filter(name => name.startsWith(`${group} `))
  const isGroup = members.length > 0
  // The first word of a group's commands must not make the others look alike.
  const typed = isGroup ? others.join(' ') : words.join(' ')
  const meanings = isGroup ? new Map(members.map(name => [lastWord(name), name])) : meaningsOf(cli)
  const meant = meanings.get(typed) ?? meanings.get((await nearest(typed, [...meanings.keys()])) ?? '')
  return usageError(
    `There is no command "atlas ${words.join(' ')}".`,
    meant ? `Did you mean "atlas ${meant}"?` : seeHelp(isGroup ? `atlas ${group}` : 'atlas'),
  )
}

const lastWord = (name: string): string => name.split(' ').at(-1) ?? ''

/** What people type, and what it means. They also type the second word alone, or a flag as a word: `atlas version`. */
function meaningsOf({ commands, globalCommand }: CAC): Map<string, string> {
  const names = commands.map(({ name }) => name)
  const groups = names.flatMap(name => name.split(' ').slice(0, -1))
  return new Map([
    ...Object.entries(OTHER_NAMES),
    ...flagDefinitions(globalCommand).map(({ name }) => [name, `--${name}`] as const),
    ...TOPICS.map(topic => [topic, `help ${topic}`] as const),
    ...names.map(name => [lastWord(name), name] as const),
    ...[...groups, ...names].map(name => [name, name] as const),
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
    return usageError(
      `${command} has no flag ${rawName}.`,
      'No flag takes a password, which every user of the machine could read: pipe it into --password-stdin.',
    )
  const otherCase = definitions.find(({ short }) => `-${short}`.toLowerCase() === rawName.toLowerCase())
  const names = definitions.map(({ name }) => `--${name}`)
  const meant = otherCase ? `-${otherCase.short}` : await nearest(rawName, names)
  const hint = meant ? `Did you mean ${meant}?` : seeHelp(command)
  return usageError(`${command} has no flag ${rawName}.`, hint)
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
