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
  PRECEDENCE,
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

/** A paragraph, lines as they are, or two columns whose first is as wide as its widest name. */
type Section =
  | string
  | { readonly title: string; readonly lines: readonly string[] }
  | { readonly title: string; readonly rows: readonly Row[]; readonly nameWidth?: number }

/**
 * Help for the program, a group of commands, one command or a topic.
 * @param words what was typed after `atlas`; it names something that exists.
 */
export function renderHelp(cli: CAC, words: readonly string[], { columns, colour }: HelpLook): string {
  const width = Math.min(Math.max(columns, MIN_WIDTH), MAX_WIDTH)
  const texts = sectionsOf(cli, words).map(section => render(section, width, colour))
  return `${texts.filter(text => text !== '').join('\n\n')}\n`
}

function sectionsOf(cli: CAC, words: readonly string[]): Section[] {
  const [word] = words
  if (word === undefined) return describeProgram(cli)
  if (isTopic(words)) return describeTopic(words[0])
  const command = findCommand(cli, words)
  return command ? describeCommand(cli, command) : describeGroup(cli, word)
}

function render(section: Section, width: number, colour: boolean): string {
  if (typeof section === 'string') return wrap(section, width).join('\n')
  const lines = 'lines' in section ? section.lines : renderRows(section.rows, section.nameWidth, width)
  if (lines.length === 0) return ''
  return [renderLine([styled('bold', `${section.title}:`)], colour), ...lines].join('\n')
}

function renderRows(rows: readonly Row[], nameWidth = widest(rows), width: number): string[] {
  const left = nameWidth + 2
  const room = width - left - 2
  return rows.flatMap(([name, text]) =>
    room < MIN_COLUMN
      ? [`  ${name}`, ...wrap(text, width - 6).map(line => `      ${line}`)]
      : wrap(text, room).map((line, index) => `  ${(index === 0 ? name : '').padEnd(left)}${line}`),
  )
}

const widest = (rows: readonly Row[]): number => Math.max(0, ...rows.map(([name]) => name.length))

/** Commands by what they are for, in the order of help. */
export const groupedCommands = (
  commands: readonly Command[],
): { readonly title: string; readonly commands: readonly Command[] }[] =>
  Object.entries(GROUPS).map(([title, words]) => ({
    title,
    commands: commands.filter(({ name }) => words.includes(name.split(' ')[0] ?? '')),
  }))

/** A command's name and arguments, as typed. */
export const usageOf = ({ name, args }: Command): string =>
  [
    name,
    ...args.map(({ required, value }) => (required ? value.toUpperCase() : `[${value.toUpperCase()}]`)),
  ].join(' ')

const commandRow = (command: Command): Row => [usageOf(command), command.description]

/** Short flags in a column of their own, so that the long ones align. */
const flagRows = (flags: readonly FlagDefinition[]): Row[] =>
  flags.map(({ short, usage, description }) => [short ? usage : `    ${usage}`, description])

function describeProgram({ commands, globalCommand }: CAC): Section[] {
  const nameWidth = widest(commands.map(commandRow))
  return [
    INTRODUCTION,
    { title: 'Usage', lines: ['  atlas <command> [flags]'] },
    ...groupedCommands(commands).map(group => ({
      title: group.title,
      rows: group.commands.map(commandRow),
      nameWidth,
    })),
    { title: 'Flags of every command', rows: flagRows(flagDefinitions(globalCommand)) },
    { title: 'Examples', lines: globalCommand.examples.map(String) },
    {
      title: 'More help',
      rows: [
        ['atlas <command> --help', 'about one command'],
        ['atlas help environment', 'about the variables that atlas reads'],
        ['atlas help exit-codes', 'about how commands end, for scripts'],
      ],
    },
  ]
}

function describeGroup({ commands, globalCommand }: CAC, group: string): Section[] {
  const members = commands.filter(({ name }) => name.startsWith(`${group} `))
  return [
    GROUP_INTRODUCTIONS[group] ?? '',
    { title: 'Usage', lines: [`  atlas ${group} <command> [flags]`] },
    { title: 'Commands', rows: members.map(commandRow) },
    { title: 'Flags of every command', rows: flagRows(flagDefinitions(globalCommand)) },
    { title: 'Examples', lines: members.flatMap(({ examples }) => examples.slice(0, 1).map(String)) },
    { title: 'More help', rows: [[`atlas ${group} <command> --help`, 'about one command']] },
  ]
}

function describeCommand({ globalCommand }: CAC, command: Command): Section[] {
  const own = flagRows(flagDefinitions(command))
  const shared = flagRows(flagDefinitions(globalCommand).filter(({ name }) => name !== 'version'))
  const nameWidth = widest([...own, ...shared])
  return [
    `${command.description}.`,
    { title: 'Usage', lines: [`  atlas ${usageOf(command)} [flags]`] },
    ...(DETAILS[command.name] ?? []),
    { title: 'Flags', rows: own, nameWidth },
    { title: 'Flags of every command', rows: shared, nameWidth },
    { title: 'Examples', lines: command.examples.map(String) },
  ]
}

const describeTopic = (topic: Topic): Section[] =>
  topic === 'environment'
    ? [PRECEDENCE, { title: 'Variables', rows: ENVIRONMENT }]
    : [
        'With --json an error is {"error":{"code","message","hint"}} on standard error.',
        { title: 'Exit codes', rows: EXIT_STATUSES.map(({ status, meaning }) => [status, meaning]) },
      ]
