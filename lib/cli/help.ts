import type { CAC, Command } from 'cac'
import { renderLine, styled, wrap } from '../terminal/style.ts'
import { findCommand, flagsOf, takesCommand } from './argv.ts'
import { type FlagDefinition, flagDefinitions } from './flags.ts'
import {
  DETAILS,
  ENVIRONMENT,
  endingRows,
  INTRODUCTION,
  isTopic,
  PRECEDENCE,
  type Topic,
} from './help-text.ts'

/** A narrower terminal wraps by itself, in characters. */
const MIN_WIDTH = 60
const MAX_WIDTH = 100

/** Commands that belong together, by their first words, in the order in which people meet them. */
const GROUPS = {
  Session: ['auth'],
  Requests: ['api', 'exec'],
  Configuration: ['sync', 'push', 'history', 'rollback', 'status'],
  'Help and repair': ['doctor', 'completion'],
}

/** A name and what it is, or a line as it is. */
type Row = readonly [name: string, text?: string]

/** A paragraph, or rows whose texts align. */
type Section = string | { readonly title: string; readonly rows: readonly Row[] }

/**
 * @param words what was typed after `atlas`: nothing, or a group, command or topic that exists.
 * @param columns the width of the terminal, in characters.
 */
export function renderHelp(cli: CAC, words: readonly string[], columns: number, colour: boolean): string {
  const width = Math.min(Math.max(columns, MIN_WIDTH), MAX_WIDTH)
  const sections = sectionsOf(cli, words)
  const rows = sections.flatMap(section => (typeof section === 'string' ? [] : section.rows))
  const nameWidth = Math.max(...rows.map(([name, text]) => (text === undefined ? 0 : name.length)))
  const texts = sections.map(section => {
    if (typeof section === 'string') return wrap(section, width).join('\n')
    const title = renderLine([styled('bold', `${section.title}:`)], colour)
    return [title, ...section.rows.flatMap(row => renderRow(row, nameWidth, width))].join('\n')
  })
  return `${texts.join('\n\n')}\n`
}

function renderRow([name, text]: Row, nameWidth: number, width: number): string[] {
  if (text === undefined) return [`  ${name}`]
  const lines = wrap(text, width - nameWidth - 4)
  return lines.map((line, index) => `  ${(index === 0 ? name : '').padEnd(nameWidth)}  ${line}`)
}

function sectionsOf(cli: CAC, words: readonly string[]): Section[] {
  const [word] = words
  if (word === undefined) return describeProgram(cli)
  if (isTopic(words)) return describeTopic(words[0])
  const command = findCommand(cli, words)
  return command ? describeCommand(cli, command) : describeGroup(cli, word)
}

/** Commands by what they are for, in the order of help. */
export const groupedCommands = (commands: readonly Command[]): { title: string; commands: Command[] }[] =>
  Object.entries(GROUPS).map(([title, words]) => ({
    title,
    commands: commands.filter(({ name }) => words.includes(name.split(' ')[0] ?? '')),
  }))

/** A command's name and arguments, as typed. */
export function usageOf(command: Command): string {
  const { name, args } = command
  if (takesCommand(command)) return `${name} -- COMMAND …`
  const names = args.map(({ required, value }) => (required ? value : `[${value}]`).toUpperCase())
  return [name, ...names].join(' ')
}

/** How a command is called. Behind the dashes every flag is another program's. */
export const usageLine = (command: Command): string =>
  takesCommand(command) ? `${command.name} [flags] -- COMMAND …` : `${usageOf(command)} [flags]`

const usage = (text: string): Section => ({ title: 'Usage', rows: [[`atlas ${text}`]] })

const commandRows = (commands: readonly Command[]): Row[] =>
  commands.map(command => [usageOf(command), command.description])

/** Short flags in a column of their own, so that the long ones align. */
const flagRows = (flags: readonly FlagDefinition[]): Row[] =>
  flags.map(({ short, usage, description }) => [short ? usage : `    ${usage}`, description])

const sharedFlags = (flags: readonly FlagDefinition[]): Section => ({
  title: 'Flags of every command',
  rows: flagRows(flags),
})

const examples = (lines: Command['examples']): Section => ({
  title: 'Examples',
  rows: lines.map(line => [String(line).trim()]),
})

const describeProgram = ({ commands, globalCommand }: CAC): Section[] => [
  INTRODUCTION,
  usage('<command> [flags]'),
  ...groupedCommands(commands).map(group => ({ title: group.title, rows: commandRows(group.commands) })),
  sharedFlags(flagDefinitions(globalCommand)),
  examples(globalCommand.examples),
  {
    title: 'More help',
    rows: [
      ['atlas <command> --help', 'about one command'],
      ['atlas help environment', 'about the variables that atlas reads'],
      ['atlas help exit-codes', 'about how commands end, for scripts'],
      ['atlas help --json', 'all of it, for programs'],
    ],
  },
]

function describeGroup({ commands, globalCommand }: CAC, group: string): Section[] {
  const members = commands.filter(({ name }) => name.startsWith(`${group} `))
  return [
    ...(DETAILS[group] ?? []),
    usage(`${group} <command> [flags]`),
    { title: 'Commands', rows: commandRows(members) },
    sharedFlags(flagDefinitions(globalCommand)),
    examples(members.flatMap(command => command.examples.slice(0, 1))),
    { title: 'More help', rows: [[`atlas ${group} <command> --help`, 'about one command']] },
  ]
}

function describeCommand(cli: CAC, command: Command): Section[] {
  const own = flagDefinitions(command)
  return [
    `${command.description}.`,
    usage(usageLine(command)),
    ...(DETAILS[command.name] ?? []),
    ...(own.length > 0 ? [{ title: 'Flags', rows: flagRows(own) }] : []),
    sharedFlags(flagsOf(cli, command).slice(own.length)),
    examples(command.examples),
  ]
}

const describeTopic = (topic: Topic): Section[] =>
  topic === 'environment'
    ? [PRECEDENCE, { title: 'Variables', rows: ENVIRONMENT }]
    : [
        'With --json an error is {"error":{"code","message","hint"}} on standard error.',
        { title: 'Exit codes', rows: endingRows() },
      ]
