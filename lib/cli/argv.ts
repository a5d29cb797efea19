import type { CAC, Command } from 'cac'
import { AtlasError } from '../errors.ts'
import { type FlagDefinition, Flags, flagDefinitions } from './flags.ts'
import { isTopic, TOPICS } from './help-text.ts'
import { seeHelp, unknownCommand, unknownFlag } from './suggest.ts'

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

/**
 * Read a command line. cac's own parser would turn `--email 0123` into a number, `-XPOST` into four
 * switches and `--input -` into a switch, and ignore unknown commands, so the text is read by the
 * platform's parser against the definitions that cac holds.
 * @param argv the arguments alone, without runtime and script.
 * @throws {AtlasError} `usage`: names what was not understood and the nearest name there is.
 */
export async function readArgv(cli: CAC, argv: readonly string[]): Promise<Request> {
  const globals = flagDefinitions(cli.globalCommand)
  const { words, rest } = splitWords(cli, globals, argv)
  if (words[0] === 'help') {
    const topic = [...words.slice(1), ...rest.filter(isWord)]
    if (!isTopic(topic) && topic.join() !== 'help' && !isCommandOrGroup(cli, topic))
      throw await unknownCommand(cli, topic, TOPICS)
    return { kind: 'help', topic }
  }
  if (!isCommandOrGroup(cli, words)) throw await unknownCommand(cli, words)
  if (asksForHelp(rest)) return { kind: 'help', topic: words }

  const command = findCommand(cli, words)
  if (command === undefined) {
    const { flags, args } = await readFlags(globals, rest, 'atlas')
    if (flags.has('version') && words.length === 0) return { kind: 'version' }
    if (args[0] !== undefined) throw await unknownCommand(cli, [...words, args[0]])
    return { kind: 'help', topic: words }
  }
  const usable = [...flagDefinitions(command), ...globals.filter(({ name }) => name !== 'version')]
  const { flags, args } = await readFlags(usable, rest, `atlas ${command.name}`)
  checkArguments(command, args)
  return { kind: 'run', command, args, flags }
}

export const findCommand = (cli: CAC, words: readonly string[]): Command | undefined =>
  cli.commands.find(({ name }) => name === words.join(' '))

/** Whether a word is the first of several commands, as in `auth login`. */
const isGroup = (cli: CAC, word: string): boolean =>
  cli.commands.some(({ name }) => name.startsWith(`${word} `))

const isCommandOrGroup = (cli: CAC, words: readonly string[]): boolean =>
  words.length === 0 || findCommand(cli, words) !== undefined || isGroup(cli, words.join(' '))

const isWord = (argument: string): boolean => !argument.startsWith('-')

const asksForHelp = (argv: readonly string[]): boolean => {
  const end = argv.indexOf('--')
  return argv.slice(0, end < 0 ? undefined : end).some(argument => ['--help', '-h'].includes(argument))
}

/** Take the words of the command out of the arguments; flags may stand before and between them. */
export function splitWords(
  cli: CAC,
  globals: readonly FlagDefinition[],
  argv: readonly string[],
): { words: string[]; rest: string[] } {
  const words: string[] = []
  const rest: string[] = []
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? ''
    const isComplete = words[0] === 'help' || (words.length > 0 && !isGroup(cli, words.join(' ')))
    if (isComplete) return { words, rest: [...rest, ...argv.slice(index)] }
    if (isWord(argument)) {
      words.push(argument)
      continue
    }
    rest.push(argument)
    const takesValue = globals.some(flag => argument === `--${flag.name}` && flag.takesValue)
    if (takesValue && index + 1 < argv.length) rest.push(argv[++index] ?? '')
  }
  return { words, rest }
}

async function readFlags(
  definitions: readonly FlagDefinition[],
  argv: readonly string[],
  command: string,
): Promise<{ flags: Flags; args: string[] }> {
  const values = new Map<string, string[]>()
  const args: string[] = []
  if (argv.length === 0) return { flags: new Flags(values), args }
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
  for (const token of tokens) {
    if (token.kind === 'positional') args.push(token.value)
    if (token.kind !== 'option') continue
    const { name, rawName } = token
    const definition = definitions.find(flag => flag.name === name)
    if (definition === undefined || (rawName.startsWith('--') && rawName !== `--${name}`))
      throw await unknownFlag(rawName, definitions, command)
    const value = flagValue(token, definition, command)
    values.set(name, [...(values.get(name) ?? []), ...(value === undefined ? [] : [value])])
  }
  return { flags: new Flags(values), args }
}

/** @returns undefined for a switch. */
function flagValue(
  {
    rawName,
    value,
    inlineValue,
  }: { rawName: string; value?: string | undefined; inlineValue?: boolean | undefined },
  { takesValue, usage }: FlagDefinition,
  command: string,
): string | undefined {
  if (!takesValue) {
    if (value === undefined) return undefined
    throw new AtlasError('usage', `${rawName} takes no value.`, seeHelp(command))
  }
  if (value === undefined || (!inlineValue && value.startsWith('--')))
    throw new AtlasError('usage', `${rawName} needs a value: ${usage}.`, seeHelp(command))
  // `-X=POST` means the same as `-XPOST`.
  return inlineValue && !rawName.startsWith('--') ? value.replace(/^=/, '') : value
}

function checkArguments(command: Command, args: readonly string[]): void {
  const name = `atlas ${command.name}`
  const missing = command.args.filter(({ required }) => required)[args.length]
  if (missing) throw new AtlasError('usage', `${name} needs ${missing.value.toUpperCase()}.`, seeHelp(name))
  const surplus = args[command.args.length]
  if (surplus === undefined) return
  const isEmail = surplus.includes('@') && flagDefinitions(command).some(flag => flag.name === 'email')
  throw new AtlasError(
    'usage',
    `${name} takes no argument "${surplus}".`,
    isEmail ? `Did you mean --email ${surplus}?` : seeHelp(name),
  )
}
