import type { CAC, Command } from 'cac'
import { usageError } from '../errors.ts'
import { shellQuoted } from '../shell-quote.ts'
import { type FlagDefinition, Flags, flagDefinitions, seeHelp } from './flags.ts'

/** What is said of a name that is not known. */
const suggestions = () => import('./suggest.ts')

export type Request =
  | { readonly kind: 'version' }
  | { readonly kind: 'help'; readonly topic: readonly string[] }
  | {
      readonly kind: 'run'
      readonly command: Command
      /** A text for each argument; the list of them where the command takes another program's command line. */
      readonly args: readonly (string | readonly string[])[]
      readonly flags: Flags
    }

/**
 * Read a command line by the platform's parser against the definitions that cac holds: cac's own would turn
 * `--email 0123` into a number and `-XPOST` into four switches, and ignore unknown commands.
 * @param argv without runtime and script.
 * @throws {AtlasError} `usage`: names what was not understood and the nearest name there is.
 */
export async function readArgv(cli: CAC, argv: readonly string[]): Promise<Request> {
  const { words, rest } = splitWords(cli, argv)
  const command = findCommand(cli, words)
  requireUtf8(command && takesCommand(command) ? splitAtDashes(argv)[0] : argv)
  if (words[0] === 'help') {
    const { isTopic } = await import('./help-text.ts')
    const topic = [...words, ...rest].filter(word => isWord(word) && word !== 'help')
    if (isTopic(topic) || isCommandOrGroup(cli, topic)) return { kind: 'help', topic }
    throw await (await suggestions()).unknownCommand(cli, topic)
  }
  if (!isCommandOrGroup(cli, words)) throw await (await suggestions()).unknownCommand(cli, words)
  if (asksForHelp(rest)) return { kind: 'help', topic: words }

  if (command === undefined) {
    const { flags, args } = await readFlags(() => flagDefinitions(cli.globalCommand), rest, 'atlas')
    if (flags.has('version') && words.length === 0) return { kind: 'version' }
    if (args[0] !== undefined) throw await (await suggestions()).unknownCommand(cli, [...words, args[0]])
    return { kind: 'help', topic: words }
  }
  const name = `atlas ${command.name}`
  const definitions = (): FlagDefinition[] => flagsOf(cli, command)
  if (takesCommand(command)) {
    const [own, args] = splitAtDashes(rest)
    checkCommand(name, args, firstWord(own, definitions()))
    const { flags } = await readFlags(definitions, own, name)
    return { kind: 'run', command, args: [args], flags }
  }
  const { flags, args } = await readFlags(definitions, rest, name)
  checkArguments(command, args)
  return { kind: 'run', command, args, flags }
}

/** The runtime puts U+FFFD in the place of bytes that are not UTF-8, which would name another file or text. */
function requireUtf8(argv: readonly string[]): void {
  const damaged = argv.find(argument => argument.includes('\ufffd'))
  if (damaged !== undefined)
    throw usageError(
      `The argument "${damaged.slice(0, 80)}" is not UTF-8 text.`,
      'Give it in UTF-8. Other bytes can be sent from a file, with: atlas api PATH --input FILE',
    )
}

/** The flags that a command takes: its own, and those of every command but `--version`. */
export const flagsOf = (cli: CAC, command: Command): FlagDefinition[] => [
  ...flagDefinitions(command),
  ...flagDefinitions(cli.globalCommand).filter(({ name }) => name !== 'version'),
]

export const findCommand = (cli: CAC, words: readonly string[]): Command | undefined =>
  cli.commands.find(({ name }) => name === words.join(' '))

/** Whether commands begin with these words and go on, as `auth login` does after `auth`. */
const isGroup = ({ commands }: CAC, words: readonly string[]): boolean =>
  commands.some(({ name }) => name.startsWith(`${words.join(' ')} `))

const isCommandOrGroup = (cli: CAC, words: readonly string[]): boolean =>
  words.length === 0 || findCommand(cli, words) !== undefined || isGroup(cli, words)

const isWord = (argument: string): boolean => !argument.startsWith('-')

const asksForHelp = (argv: readonly string[]): boolean => {
  const first = argv.find(argument => ['--help', '-h', '--'].includes(argument))
  return first !== undefined && first !== '--'
}

/** Take the words of the command out of the arguments; flags may stand before and between them. */
export function splitWords(cli: CAC, argv: readonly string[]): { words: string[]; rest: string[] } {
  const words: string[] = []
  const rest: string[] = []
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? ''
    const isComplete = words[0] === 'help' || (words.length > 0 && !isGroup(cli, words))
    if (isComplete) return { words, rest: [...rest, ...argv.slice(index)] }
    if (isWord(argument)) {
      words.push(argument)
      continue
    }
    rest.push(argument)
    const flag = flagDefinitions(cli.globalCommand).find(({ name }) => argument === `--${name}`)
    if (flag?.type === 'string' && index + 1 < argv.length) rest.push(argv[++index] ?? '')
  }
  return { words, rest }
}

async function readFlags(
  define: () => readonly FlagDefinition[],
  argv: readonly string[],
  command: string,
): Promise<{ flags: Flags; args: string[] }> {
  const flags = new Flags()
  const args: string[] = []
  if (argv.length === 0) return { flags, args }
  const definitions = define()
  const { parseArgs } = await import('node:util')
  const options = Object.fromEntries(definitions.map(definition => [definition.name, definition]))
  const lenient = { strict: false, allowPositionals: true, tokens: true } as const
  const { tokens } = parseArgs({ args: [...argv], options, ...lenient })
  for (const token of tokens) {
    if (token.kind === 'positional') args.push(token.value)
    if (token.kind !== 'option') continue
    const { name, rawName, value, inlineValue } = token
    const definition = definitions.find(flag => flag.name === name)
    if (definition === undefined) throw await (await suggestions()).unknownFlag(rawName, definitions, command)
    if (definition.type === 'boolean') {
      if (value !== undefined) throw usageError(`${rawName} takes no value.`, seeHelp(command))
      flags.set(name, [])
      continue
    }
    if (value === undefined || (!inlineValue && value.startsWith('--')))
      throw usageError(`${rawName} needs a value: ${definition.usage}.`, seeHelp(command))
    // `-X=POST` means the same as `-XPOST`.
    const typed = inlineValue && !rawName.startsWith('--') ? value.replace(/^=/, '') : value
    flags.add(name, typed)
  }
  return { flags, args }
}

/** Whether a command takes the command line of another program, behind `--`. */
export const takesCommand = ({ args }: Command): boolean => args.some(({ variadic }) => variadic)

function splitAtDashes(argv: readonly string[]): [own: readonly string[], command: readonly string[]] {
  const at = argv.indexOf('--')
  return at < 0 ? [argv, []] : [argv.slice(0, at), argv.slice(at + 1)]
}

/** The first argument that is neither a flag nor the value of one. */
function firstWord(argv: readonly string[], definitions: readonly FlagDefinition[]): string | undefined {
  const takesNext = (argument = ''): boolean =>
    definitions.some(
      ({ name, short, type }) => type === 'string' && [`--${name}`, `-${short}`].includes(argument),
    )
  return argv.find((argument, index) => isWord(argument) && !takesNext(argv[index - 1]))
}

function checkCommand(name: string, args: readonly string[], misplaced: string | undefined): void {
  if (misplaced !== undefined)
    throw usageError(
      `${name} needs "--" before the program and its arguments.`,
      `As in: ${name} -- ${shellQuoted(misplaced)} …`,
    )
  if (args.length === 0) throw usageError(`${name} needs a program to run, behind "--".`, seeHelp(name))
}

function checkArguments(command: Command, args: readonly string[]): void {
  const name = `atlas ${command.name}`
  const missing = command.args.filter(({ required }) => required)[args.length]
  if (missing) throw usageError(`${name} needs ${missing.value.toUpperCase()}.`, seeHelp(name))
  const surplus = args[command.args.length]
  if (surplus === undefined) return
  const meant = meantBy(surplus, args[0] ?? '', command)
  throw usageError(
    `${name} takes no argument "${surplus}".`,
    meant ? `Did you mean ${meant}?` : seeHelp(name),
  )
}

/** What people type without its flag, as other programs take it. */
function meantBy(surplus: string, first: string, command: Command): string | undefined {
  const has = (flag: string): boolean => flagDefinitions(command).some(({ name }) => name === flag)
  if (has('method') && /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/i.test(first))
    return `${shellQuoted(surplus)} -X ${first.toUpperCase()}`
  if (has('email') && surplus.includes('@')) return `--email ${surplus}`
  return /^https?:/.test(surplus) ? `--api-url ${surplus}` : undefined
}
