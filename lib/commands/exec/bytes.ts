import fs from 'node:fs'
import type { Environment } from '../../config/load.ts'
import { usageError } from '../../errors.ts'

/** Bytes as a text with a character for each: names of files, arguments and variables need not be UTF-8. */
export type Bytes = string

export const bytesOf = (text: string): Bytes => Buffer.from(text).toString('latin1')
export const textOf = (bytes: Bytes): string => bufferOf(bytes).toString()
export const bufferOf = (bytes: Bytes): Buffer => Buffer.from(bytes, 'latin1')

/** The environment of this process, each variable as `name=value`: byte by byte, where the system shows it. */
export const environmentOf = (env: Environment): Bytes[] =>
  entriesIn('/proc/self/environ') ?? Object.entries(env).map(([name, value]) => bytesOf(`${name}=${value}`))

/** A variable of it. */
export const variableOf = (name: string, env: Environment): Bytes | undefined =>
  environmentOf(env)
    .find(entry => entry.startsWith(`${name}=`))
    ?.slice(name.length + 1)

/**
 * The last arguments of this process, byte by byte.
 * @param args as the runtime has read them, with U+FFFD in the place of what is not UTF-8.
 * @throws {AtlasError} `usage`: they are not UTF-8, and the system does not show them.
 */
export function lastArguments(args: readonly string[]): Bytes[] {
  const shown = entriesIn('/proc/self/cmdline')?.slice(-args.length) ?? []
  if (args.every((text, index) => textOf(shown[index] ?? '') === text)) return shown
  const damaged = args.find(text => text.includes('\ufffd'))
  if (damaged !== undefined)
    throw usageError(`The argument "${damaged.slice(0, 80)}" is not UTF-8 text.`, 'Give it in UTF-8.')
  return args.map(bytesOf)
}

/** What stands in a file of proc(5), each entry ended by a NUL; undefined where there is none. */
function entriesIn(file: string): Bytes[] | undefined {
  try {
    return fs.readFileSync(file, 'latin1').split('\0').slice(0, -1)
  } catch {
    return undefined
  }
}
