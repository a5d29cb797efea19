import type { Command } from 'cac'

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

export const flagDefinitions = ({ options }: Pick<Command, 'options'>): FlagDefinition[] =>
  options.map(({ rawName, description }) => {
    const [, long = ''] = /--([a-z0-9-]+)/.exec(rawName) ?? []
    const [, short] = /(?:^|\s)-([A-Za-z])(?=,|\s|$)/.exec(rawName) ?? []
    return { name: long, short, takesValue: rawName.includes('<'), usage: rawName, description }
  })

/** The flags of one call: every value as it was typed, by long name without dashes; a switch has none. */
export class Flags extends Map<string, readonly string[]> {
  /** The value of a flag; of several the last one. */
  text(name: string): string | undefined {
    return this.get(name)?.at(-1)
  }

  all(name: string): readonly string[] {
    return this.get(name) ?? []
  }
}
