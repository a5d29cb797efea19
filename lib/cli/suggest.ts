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
  const inGroup = cli.commands
    .filter(({ name }) => name.startsWith(`${group} `))
    .map(({ name }) => name.slice(group.length + 1))
  let meant: string | undefined
  if (inGroup.length > 0) {
    const member = await nearest(others.join(' '), inGroup)
    meant = member && `${group} ${member}`
  } else {
    meant = await nearestCommand(cli, words.join(' '), topics)
  }
  return new AtlasError(
    'usage',
    `There is no command "atlas ${words.join(' ')}".`,
    meant
      ? `Did you mean "atlas ${topics.includes(meant) ? `help ${meant}` : meant}"?`
      : seeHelp(inGroup.length > 0 ? group : ''),
  )
}

async function nearestCommand(
  cli: CAC,
  typed: string,
  topics: readonly string[],
): Promise<string | undefined> {
  const names = cli.commands.map(({ name }) => name)
  const groups = names.filter(name => name.includes(' ')).map(name => name.split(' ')[0] ?? '')
  // People also type the second word alone, `atlas login`, or a flag as a word, `atlas version`.
  const bySecondWord = new Map(names.map(name => [name.split(' ').at(-1) ?? '', name]))
  const isFlag = flagDefinitions(cli.globalCommand).some(({ name }) => name === typed)
  return (
    OTHER_NAMES[typed] ??
    bySecondWord.get(typed) ??
    (isFlag ? `--${typed}` : undefined) ??
    (await nearest(typed, [...names, ...groups, ...topics])) ??
    bySecondWord.get((await nearest(typed, [...bySecondWord.keys()])) ?? '')
  )
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

/** @param command with or without `atlas`. */
export const seeHelp = (command: string): string =>
  `See: ${`atlas ${command.replace(/^atlas ?/, '')}`.trim()} --help`
