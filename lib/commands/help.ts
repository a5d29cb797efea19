import type { CAC, Command } from 'cac'
import { type FlagDefinition, flagDefinitions } from './argv.ts'
import { wrap } from './wrap.ts'

const MIN_WIDTH = 60
const MAX_WIDTH = 100

/** What help says beside commands and flags. */
const INTRODUCTION =
  'atlas logs in to an Atlas server, keeps the session in the keychain and makes authenticated requests.'

const GROUPS: Record<string, string> = { auth: 'Log in, log out and see who is logged in.' }

const ENVIRONMENT =
  'ATLAS_API_URL and ATLAS_ACCESS_TOKEN set the server and a ready-made token; the README lists all variables and exit codes.'

/**
 * Help for the program, a group of commands or one command.
 * @param topic the words typed after `atlas`; they name something that exists.
 * @param columns the width of the terminal.
 */
export function renderHelp(cli: CAC, topic: readonly string[], columns: number): string {
  const width = Math.min(Math.max(columns, MIN_WIDTH), MAX_WIDTH)
  const command = cli.commands.find(({ name }) => name === topic.join(' '))
  const globals = flagDefinitions(cli.globalCommand)
  const sections = command
    ? commandHelp(
        command,
        globals.filter(({ name }) => name !== 'version'),
        width,
      )
    : overviewHelp(cli, topic[0], globals, width)
  return `${sections.filter(section => section !== '').join('\n\n')}\n`
}

function overviewHelp(
  cli: CAC,
  group: string | undefined,
  globals: FlagDefinition[],
  width: number,
): string[] {
  const inGroup = cli.commands.filter(({ name }) => group === undefined || name.startsWith(`${group} `))
  const grouped = Map.groupBy(inGroup, ({ name }) => (name.includes(' ') ? (name.split(' ')[0] ?? '') : ''))
  const lists = [...grouped].map(([name, commands]) =>
    section(
      name === '' ? 'Commands' : `Commands: ${name}`,
      table(
        commands.map(command => [usageOf(command), command.description]),
        width,
      ),
    ),
  )
  return [
    wrap(group === undefined ? INTRODUCTION : (GROUPS[group] ?? ''), width).join('\n'),
    section('Usage', [`  atlas ${group ?? ''}${group ? ' ' : ''}<command> [flags]`]),
    ...lists,
    section('Flags', flagTable(globals, width)),
    section(
      'Examples',
      group === undefined
        ? cli.globalCommand.examples.map(String)
        : inGroup.flatMap(({ examples }) => examples.slice(0, 1).map(String)),
    ),
    group === undefined ? wrap(ENVIRONMENT, width).join('\n') : '',
    `More about a command: atlas ${group ?? ''}${group ? ' ' : ''}<command> --help`,
  ]
}

function commandHelp(command: Command, globals: FlagDefinition[], width: number): string[] {
  const own = flagDefinitions(command)
  return [
    wrap(`${command.description}.`, width).join('\n'),
    section('Usage', [`  atlas ${usageOf(command)} [flags]`]),
    section('Flags', flagTable(own, width)),
    section('Flags of every command', flagTable(globals, width)),
    section('Examples', command.examples.map(String)),
  ]
}

const usageOf = ({ name, args }: Command): string =>
  [
    name,
    ...args.map(({ required, value }) => (required ? value.toUpperCase() : `[${value.toUpperCase()}]`)),
  ].join(' ')

const section = (title: string, lines: readonly string[]): string =>
  lines.length === 0 ? '' : `${title}:\n${lines.join('\n')}`

/** Short flags in a column of their own, so that the long ones align. */
const flagTable = (flags: readonly FlagDefinition[], width: number): string[] =>
  table(
    flags.map(({ short, usage, description }) => [short ? usage : `    ${usage}`, description]),
    width,
  )

/** Two columns; the second is wrapped below itself. */
function table(rows: readonly (readonly [string, string])[], width: number): string[] {
  const left = Math.max(0, ...rows.map(([name]) => name.length)) + 2
  return rows.flatMap(([name, text]) =>
    wrap(text, width - left - 2).map((line, index) =>
      `  ${(index === 0 ? name : '').padEnd(left)}${line}`.trimEnd(),
    ),
  )
}
