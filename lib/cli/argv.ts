import type { CAC, Command } from 'cac'
import { AtlasError } from '../errors.ts'
import { Flags } from './flags.ts'
import { isTopic, TOPICS } from './help-text.ts'

/** One flag as a command defines it: `-X, --method <method>`. */
export interface FlagDefinition {
  /** The long name, without dashes. */
  readonly name: string
  readonly short: string | undefined
  readonly takesValue: boolean
  /** As defined, for help. */
  readonly usage: string
  readonly description: string
}

/** What a command line asks for. */
export type Request =
  | { readonly kind: 'version' }
  | { readonly kind: 'help'; readonly topic: readonly string[] }
  | {
      readonly kind: 'run'
      readonly command: Command
      readonly args: readonly string[]
      readonly flags: Flags
    }

export const flagDefinitions = ({ options }: Pick<Command, 'options'>): FlagDefinition[] =>
  options.map(({ rawName, description }) => {
    const [, long = ''] = /--([a-z0-9-]+)/.exec(rawName) ?? []
    const [, short] = /(?:^|\s)-([A-Za-z])(?=,|\s|$)/.exec(rawName) ?? []
    return { name: long, short, takesValue: rawName.includes('<'), usage: rawName, description }
  })

/** The words that name a command, such as `auth login`. */
const wordsOf = (command: Command): string[] => command.name.split(' ')

export const isGroup = (cli: CAC, word: string): boolean =>
  cli.commands.some(command => wordsOf(command).length > 1 && wordsOf(command)[0] === word)

/**
 * Read a command line. cac's own parser would turn `--email 0123` into a number, `-XPOST` into four
 * switches and `--input -` into a switch, and pass over unknown commands, so the text is read by the
 * platform's parser against the definitions that cac holds.
 * @param argv the arguments alone, without runtime and script.
 * @throws {AtlasError} `usage`: names what was not understood and the nearest name there is.
 */
export async function readArgv(cli: CAC, argv: readonly string[]): Promise<Request> {
  const globals = flagDefinitions(cli.globalCommand)
  const { words, rest } = splitWords(cli, globals, argv)

  const asksHelp = beforeDashes(rest).some(argument => argument === '--help' || argument === '-h')
  if (words[0] === 'help')
    return { kind: 'help', topic: await knownTopic(cli, [...words.slice(1), ...rest.filter(isWord)]) }

  const command = cli.commands.find(({ name }) => name === words.join(' '))
  if (command === undefined) {
    if (words.length > 0 && !(words.length === 1 && isGroup(cli, words[0] ?? '')))
      throw await unknownCommand(cli, words)
    if (asksHelp) return { kind: 'help', topic: words }
    const { flags, args } = await readFlags(globals, rest, 'atlas')
    if (flags.has('version') && words.length === 0) return { kind: 'version' }
    if (args[0] !== undefined) throw await unknownCommand(cli, [...words, args[0]])
    return { kind: 'help', topic: words }
  }
  if (asksHelp) return { kind: 'help', topic: words }

  const usable = globals.filter(({ name }) => name !== 'version')
  const { flags, args } = await readFlags(
    [...flagDefinitions(command), ...usable],
    rest,
    `atlas ${command.name}`,
  )
  const missing = command.args.filter(({ required }) => required)[args.length]
  if (missing)
    throw new AtlasError(
      'usage',
      `atlas ${command.name} needs ${missing.value.toUpperCase()}.`,
      seeHelp(command.name),
    )
  const surplus = args[command.args.length]
  if (surplus !== undefined)
    throw new AtlasError(
      'usage',
      `atlas ${command.name} takes no argument "${surplus}".`,
      surplus.includes('@') && flagDefinitions(command).some(({ name }) => name === 'email')
        ? `Did you mean --email ${surplus}?`
        : seeHelp(command.name),
    )
  return { kind: 'run', command, args, flags }
}

/** Take the words of the command out of the arguments; flags may stand before and between them. */
export function splitWords(
  cli: CAC,
  globals: readonly FlagDefinition[],
  argv: readonly string[],
): { words: string[]; rest: string[] } {
  const words: string[] = []
  const rest: string[] = []
  const isComplete = (): boolean =>
    words[0] === 'help' || (words.length > 0 && !(words.length === 1 && isGroup(cli, words[0] ?? '')))
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? ''
    if (isComplete()) return { words, rest: [...rest, ...argv.slice(index)] }
    if (isWord(argument)) {
      words.push(argument)
      continue
    }
    rest.push(argument)
    const flag = globals.find(({ name }) => argument === `--${name}`)
    const value = argv[index + 1]
    if (flag?.takesValue && value !== undefined) {
      rest.push(value)
      index++
    }
  }
  return { words, rest }
}

async function readFlags(
  definitions: readonly FlagDefinition[],
  argv: readonly string[],
  command: string,
): Promise<{ flags: Flags; args: string[] }> {
  if (argv.length === 0) return { flags: new Flags(new Map()), args: [] }
  const { parseArgs } = await import('node:util')
  const { tokens } = parseArgs({
    args: [...argv],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      definitions.map(({ name, short, takesValue }) => [
        name,
        { type: takesValue ? ('string' as const) : ('boolean' as const), ...(short && { short }) },
      ]),
    ),
  })
  const values = new Map<string, string[]>()
  const args: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') args.push(token.value)
    if (token.kind !== 'option') continue
    const { name, rawName, inlineValue } = token
    const definition = definitions.find(flag => flag.name === name)
    if (definition === undefined || (rawName.startsWith('--') && rawName !== `--${name}`))
      throw await unknownFlag(rawName, definitions, command)
    const given = values.get(name) ?? []
    values.set(name, given)
    if (!definition.takesValue) {
      if (token.value !== undefined)
        throw new AtlasError('usage', `${rawName} takes no value.`, seeHelp(command))
      continue
    }
    const value = inlineValue && !rawName.startsWith('--') ? token.value.replace(/^=/, '') : token.value
    if (value === undefined || (!inlineValue && value.startsWith('--')))
      throw new AtlasError('usage', `${rawName} needs a value: ${definition.usage}.`, seeHelp(command))
    given.push(value)
  }
  return { flags: new Flags(values), args }
}

async function knownTopic(cli: CAC, topic: readonly string[]): Promise<readonly string[]> {
  const known =
    topic.length === 0 ||
    (topic.length === 1 && topic[0] === 'help') ||
    isTopic(topic) ||
    cli.commands.some(({ name }) => name === topic.join(' ')) ||
    (topic.length === 1 && isGroup(cli, topic[0] ?? ''))
  if (!known) throw await unknownCommand(cli, topic, TOPICS)
  return topic
}

async function unknownCommand(
  cli: CAC,
  words: readonly string[],
  topics: readonly string[] = [],
): Promise<AtlasError> {
  const typed = words.join(' ')
  const [group = ''] = words
  const names = cli.commands.map(({ name }) => name)
  const inGroup = names.filter(name => name.startsWith(`${group} `))
  const groups = new Set(names.filter(name => name.includes(' ')).map(name => name.split(' ')[0] ?? ''))
  // People also type the second word alone, `atlas login`, or a flag as a word, `atlas version`.
  const bySecondWord = new Map(names.map(name => [name.split(' ').at(-1) ?? '', name]))
  const flag = flagDefinitions(cli.globalCommand).find(({ name }) => name === typed)
  const meant =
    inGroup.length > 0
      ? await nearestInGroup(words, inGroup)
      : (OTHER_NAMES[typed] ??
        bySecondWord.get(typed) ??
        (flag && `--${flag.name}`) ??
        (await nearest(typed, [...names, ...groups, ...topics])) ??
        bySecondWord.get((await nearest(typed, [...bySecondWord.keys()])) ?? ''))
  return new AtlasError(
    'usage',
    `There is no command "atlas ${typed}".`,
    meant
      ? `Did you mean "atlas ${topics.includes(meant) ? `help ${meant}` : meant}"?`
      : seeHelp(inGroup.length > 0 ? group : ''),
  )
}

async function unknownFlag(
  rawName: string,
  definitions: readonly FlagDefinition[],
  command: string,
): Promise<AtlasError> {
  const otherCase = definitions.find(({ short }) => `-${short}`.toLowerCase() === rawName.toLowerCase())
  const meant = otherCase
    ? `-${otherCase.short}`
    : await nearest(
        rawName,
        definitions.map(({ name }) => `--${name}`),
      )
  const takesPassword = definitions.some(({ name }) => name === 'password-stdin')
  const hint =
    takesPassword && (rawName === '--password' || rawName === '-p')
      ? 'No flag takes a password, which every user of the machine could read: pipe it into --password-stdin.'
      : meant
        ? `Did you mean ${meant}?`
        : seeHelp(command)
  return new AtlasError('usage', `${command} has no flag ${rawName}.`, hint)
}

/** The words of a group have their first one in common, which must not make the others look alike. */
async function nearestInGroup(
  [group = '', ...words]: readonly string[],
  names: readonly string[],
): Promise<string | undefined> {
  const meant = await nearest(
    words.join(' '),
    names.map(name => name.slice(group.length + 1)),
  )
  return meant && `${group} ${meant}`
}

/** What other programs call it. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  whoami: 'auth status',
  pull: 'sync',
  get: 'api',
}

/** The name that is typed most alike, if one is alike enough to be meant. */
export async function nearest(typed: string, names: readonly string[]): Promise<string | undefined> {
  const { distance } = await import('fastest-levenshtein')
  const [best] = names
    .map(name => ({ name, away: distance(typed, name) }))
    .filter(({ name, away }) => away <= Math.max(name.length < 4 ? 1 : 2, Math.floor(name.length / 3)))
    .sort((a, b) => a.away - b.away)
  return best?.name
}

const seeHelp = (command: string): string =>
  `See: ${`atlas ${command.replace(/^atlas ?/, '')}`.trim()} --help`

const isWord = (argument: string): boolean => !argument.startsWith('-')

const beforeDashes = (argv: readonly string[]): readonly string[] => {
  const end = argv.indexOf('--')
  return end < 0 ? argv : argv.slice(0, end)
}
