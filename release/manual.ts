import { type CAC, type Command, cac } from 'cac'
import { type FlagDefinition, flagDefinitions } from '../lib/cli/flags.ts'
import { groupedCommands, usageOf } from '../lib/cli/help.ts'
import { DETAILS, ENVIRONMENT, endingRows, INTRODUCTION, PRECEDENCE } from '../lib/cli/help-text.ts'
import type { Context } from '../lib/commands/context.ts'
import { defineProgram } from '../lib/commands/program.ts'
import { wrap } from '../lib/terminal/style.ts'
import { VERSION } from '../lib/version.ts'

const MAX_LINE = 78

/** The source of atlas(1), for this version. No command is run. */
export async function manualPage(): Promise<string> {
  const cli = cac('atlas')
  await defineProgram(cli, {} as Context)
  return renderManual(cli, VERSION)
}

/**
 * The manual page of atlas, from the definitions that its help comes from.
 * @returns the source of a page for section 1, in the macros that man(7) describes.
 */
export function renderManual(cli: CAC, version: string): string {
  const globals = flagDefinitions(cli.globalCommand)
  const lines = [
    `.TH ATLAS 1 "" "atlas ${escaped(version)}" "User Commands"`,
    // Neither names broken at a hyphen nor gaps between words.
    '.nh',
    '.ad l',
    '.SH NAME',
    'atlas \\- log in to an Atlas server and make authenticated requests',
    '.SH SYNOPSIS',
    '.B atlas',
    '.I command',
    '.RI [ flags ]',
    '.SH DESCRIPTION',
    text(INTRODUCTION),
    '.PP',
    text(
      'The result of a command is on standard output; questions, progress, notices and errors are on standard error.',
    ),
    '.SH COMMANDS',
    ...groupedCommands(cli.commands).flatMap(({ commands }) => commands.flatMap(describe)),
    '.SH OPTIONS',
    'Every command takes these, but for the last, which stands alone.',
    ...globals.flatMap(flag),
    '.SH ENVIRONMENT',
    text(PRECEDENCE),
    ...ENVIRONMENT.flatMap(([name, meaning]) => ['.TP', `.B ${escaped(name)}`, text(`${meaning}.`)]),
    '.SH FILES',
    '.TP',
    '.I ~/.config/atlas/config.json',
    text('Profiles, their servers and credential stores. It holds no secret.'),
    '.TP',
    '.I ~/.config/atlas/credentials/',
    text('The sessions of the store "file", in plain text, readable by their owner alone.'),
    '.TP',
    '.I /tmp/atlas-UID/',
    text('Locks on sessions in the keychain, and the keychain support, unpacked.'),
    '.TP',
    '.I ~/.config/atlas/sync/',
    text('What was last synced, as a hash for each profile, server and folder.'),
    '.SH EXIT STATUS',
    text(
      'With --json an error is {"error":{"code","message","hint"}} on standard error, with one of these codes.',
    ),
    ...endingRows().flatMap(([statuses, meaning]) => ['.TP', `.B ${statuses}`, text(`${meaning}.`)]),
    '.SH EXAMPLES',
    ...examples(cli.globalCommand),
  ]
  return `${lines.join('\n')}\n`
}

const describe = (command: Command): string[] => [
  `.SS atlas ${escaped(usageOf(command))}`,
  text(`${command.description}.`),
  ...(DETAILS[command.name] ?? []).flatMap(paragraph => ['.PP', text(paragraph)]),
  ...flagDefinitions(command).flatMap(flag),
  '.PP',
  ...examples(command),
]

const flag = ({ usage, description }: FlagDefinition): string[] => [
  '.TP',
  `.B ${escaped(usage)}`,
  text(`${description}.`),
]

/** Examples as they are typed. */
const examples = ({ examples: lines }: Pick<Command, 'examples'>): string[] =>
  lines.length === 0 ? [] : ['.RS 4', '.nf', ...lines.map(line => escaped(String(line).trim())), '.fi', '.RE']

/** Dashes, quotes and backslashes as they are typed, not as they are typeset. */
const escaped = (source: string): string =>
  source
    .replaceAll('\\', '\\(rs')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replaceAll('"', '\\(dq')

/** Text in short lines; one that begins with a dot would be taken for a macro. */
const text = (source: string): string =>
  wrap(escaped(source), MAX_LINE)
    .map(line => line.replace(/^\./, '\\&.'))
    .join('\n')
