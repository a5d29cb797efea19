import type { ConfigFlags } from '../config/load.ts'

/** The flags of one call: every value as it was typed. */
export class Flags {
  readonly #values: ReadonlyMap<string, readonly string[]>

  /** @param values by long name without dashes; a switch has an empty list. */
  constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values
  }

  has(name: string): boolean {
    return this.#values.has(name)
  }

  /** The value of a flag; of several the last one. */
  text(name: string): string | undefined {
    return this.#values.get(name)?.at(-1)
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? []
  }
}

/** The flags that steer configuration, for every command alike. */
export const configFlags = (flags: Flags): ConfigFlags => ({
  apiUrl: flags.text('api-url'),
  timeout: flags.text('timeout'),
  profile: flags.text('profile'),
  store: flags.text('store'),
  allowHttp: flags.has('allow-http') || undefined,
  noInput: flags.has('no-input') || undefined,
  debug: flags.has('debug') || undefined,
})
