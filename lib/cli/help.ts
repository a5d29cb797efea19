import type { CAC, Command } from 'cac'
import { renderLine, styled, wrap } from '../terminal/style.ts'
import { findCommand } from './argv.ts'
import { type FlagDefinition, flagDefinitions } from './flags.ts'
import {
  DETAILS,
  ENVIRONMENT,
  EXIT_STATUSES,
  GROUP_INTRODUCTIONS,
  GROUPS,
  INTRODUCTION,
  isTopic,
  type Topic,
} from './help-text.ts'

const MIN_WIDTH = 30
const MAX_WIDTH = 100
/** Where the second column would be narrower, it goes below the first. */
const MIN_COLUMN = 24

export interface HelpLook {
  /** The width of the terminal, in characters. */
  readonly columns: number
  readonly colour: boolean
}

type Row = readonly [name: string, text: string]

/**
 * Help for the program, a group of commands, one command or a topic.
 * @param words what was typed after `atlas`; it names something that exists.
 */
export function renderHelp(cli: CAC, words: readonly string[], { columns, colour }: HelpLook): string {
  const page = new Page(Math.min(Math.max(columns, MIN_WIDTH), MAX_WIDTH), colour)
  const command = findCommand(cli, words)
  if (command) describeCommand(page, command, flagDefinitions(cli.globalCommand))
  else if (isTopic(words)) describeTopic(page, words[0])
  else describeCommands(page, cli, words[0])
  return page.text
}

/** Commands by what they are for, those that the table does not know last. */
export function groupedCommands(
  commands: readonly Command[],
): { readonly title: string; readonly commands: readonly Command[] }[] {
  const firstWord = ({ name }: Command): string => name.split(' ')[0] ?? ''
  const known = GROUPS.flatMap(group => group.commands)
  return [...GROUPS, { title: 'More', commands: undefined }]
    .map(({ title, commands: words }) => ({
      title,
      commands: commands.filter(command =>
        words ? words.includes(firstWord(command)) : !known.includes(firstWord(command)),
      ),
    }))
    .filter(group => group.commands.length > 0)
}

/** A command's name and arguments, as typed. */
export const usageOf = ({ name, args }: Command): string =>
  [
    name,
    ...args.map(({ required, value }) => (required ? value.toUpperCase() : `[${value.toUpperCase()}]`)),
  ].join(' ')

class Page {
  readonly #width: number
  readonly #colour: boolean
  readonly #sections: string[] = []

  constructor(width: number, colour: boolean) {
    this.#width = width
    this.#colour = colour
  }

  get text(): string {
    return `${this.#sections.join('\n\n')}\n`
  }

  paragraph(text: string): void {
    this.#sections.push(wrap(text, this.#width).join('\n'))
  }

  section(title: string, lines: readonly string[]): void {
    if (lines.length === 0) return
    this.#sections.push([renderLine([styled('bold', `${title}:`)], this.#colour), ...lines].join('\n'))
  }

  /** Two columns as wide as the widest name of all the tables that belong together. */
  table(title: string, rows: readonly Row[], nameWidth = widest(rows)): void {
    const left = nameWidth + 2
    const room = this.#width - left - 2
    this.section(
      title,
      rows.flatMap(([name, text]) =>
        room < MIN_COLUMN
          ? [`  ${name}`, ...wrap(text, this.#width - 6).map(line => `      ${line}`)]
          : wrap(text, room).map((line, index) => `  ${(index === 0 ? name : '').padEnd(left)}${line}`),
      ),
    )
  }
}

const widest = (rows: readonly Row[]): number => Math.max(0, ...rows.map(([name]) => name.length))

function describeCommands(page: Page, cli: CAC, group: string | undefined): void {
  const commands = cli.commands.filter(({ name }) => group === undefined || name.startsWith(`${group} `))
  const words = group === undefined ? 'atlas' : `atlas ${group}`
  const rowOf = (command: Command): Row => [usageOf(command), command.description]
  const nameWidth = widest(commands.map(rowOf))

  page.paragraph(group === undefined ? INTRODUCTION : (GROUP_INTRODUCTIONS[group] ?? ''))
  page.section('Usage', [`  ${words} <command> [flags]`])
  for (const { title, commands: members } of groupedCommands(commands))
    page.table(group === undefined ? title : 'Commands', members.map(rowOf), nameWidth)
  page.table('Flags of every command', flagRows(flagDefinitions(cli.globalCommand)))
  page.section(
    'Examples',
    group === undefined
      ? cli.globalCommand.examples.map(String)
      : commands.flatMap(({ examples }) => examples.slice(0, 1).map(String)),
  )
  const more: Row[] = [[`${words} <command> --help`, 'about one command']]
  page.table(
    'More help',
    group === undefined
      ? [
          ...more,
          ['atlas help environment', 'about the variables that atlas reads'],
          ['atlas help exit-codes', 'about how commands end, for scripts'],
        ]
      : more,
  )
}

function describeCommand(page: Page, command: Command, globals: readonly FlagDefinition[]): void {
  page.paragraph(`${command.description}.`)
  page.section('Usage', [`  atlas ${usageOf(command)} [flags]`])
  for (const paragraph of DETAILS[command.name] ?? []) page.paragraph(paragraph)
  const own = flagRows(flagDefinitions(command))
  const shared = flagRows(globals.filter(({ name }) => name !== 'version'))
  const nameWidth = Math.max(widest(own), widest(shared))
  page.table('Flags', own, nameWidth)
  page.table('Flags of every command', shared, nameWidth)
  page.section('Examples', command.examples.map(String))
}

function describeTopic(page: Page, topic: Topic): void {
  if (topic === 'environment') {
    page.paragraph(
      'A flag beats a variable, and a variable the config file. An empty variable counts as unset.',
    )
    page.table('Variables', ENVIRONMENT)
    return
  }
  page.paragraph('With --json an error is {"error":{"code","message","hint"}} on standard error.')
  page.table(
    'Exit codes',
    EXIT_STATUSES.map(({ status, meaning, codes }) => [
      status,
      codes.length === 0 ? meaning : `${meaning}: ${codes.join(', ')}`,
    ]),
  )
}

/** Short flags in a column of their own, so that the long ones align. */
const flagRows = (flags: readonly FlagDefinition[]): Row[] =>
  flags.map(({ short, usage, description }) => [short ? usage : `    ${usage}`, description])
