import type { Command } from 'cac'
import { usageError } from '../errors.ts'

/** One flag of a command, which is an option of `parseArgs` too. */
export interface FlagDefinition {
  /** The long name, without dashes. */
  readonly name: string
  readonly short?: string
  readonly type: 'string' | 'boolean'
  /** `-X, --method <method>` */
  readonly usage: string
  readonly description: string
}

export const flagDefinitions = ({ options }: Pick<Command, 'options'>): FlagDefinition[] =>
  options.map(({ rawName, description }) => {
    const [, short, name = ''] = /(?:-(\w), )?--([a-z0-9-]+)/.exec(rawName) ?? []
    const type = rawName.includes('<') ? 'string' : 'boolean'
    return { name, ...(short && { short }), type, usage: rawName, description }
  })

/** The next step after a command line that was not understood. */
export const seeHelp = (command: string): string => `See: ${command} --help`

/** The flags of one call: every value as it was typed, by long name without dashes; a switch has none. */
export class Flags extends Map<string, readonly string[]> {
  readonly #given: { name: string; value: string }[] = []

  /** Note one more value of a flag. */
  add(name: string, value: string): void {
    this.#given.push({ name, value })
    this.set(name, [...this.all(name), value])
  }

  /** The values of several flags, in the order in which they were given. */
  inOrder(...names: readonly string[]): readonly { readonly name: string; readonly value: string }[] {
    return this.#given.filter(({ name }) => names.includes(name))
  }

  /** The value of a flag; of several the last one. */
  text(name: string): string | undefined {
    return this.get(name)?.at(-1)
  }

  all(name: string): readonly string[] {
    return this.get(name) ?? []
  }
}

const UNIT_MS: Record<string, number> = { '': 1000, s: 1000, m: 60_000, h: 3_600_000 }

/** A duration as people write it (`90s`, `10m`, `1h`, bare seconds), in milliseconds. @throws {AtlasError} `usage` */
export function parseDuration(text: string, flag: string): number {
  const [, number, unit = ''] = /^(\d{1,9}(?:\.\d+)?)([smh]?)$/.exec(text) ?? []
  if (number !== undefined) return Number(number) * (UNIT_MS[unit] ?? 0)
  throw usageError(
    `${flag} is "${text.slice(0, 80)}", which is not a duration.`,
    'Give one such as 90s, 10m or 1h.',
  )
}
