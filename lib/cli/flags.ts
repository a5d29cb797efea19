import type { Command } from 'cac'

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
