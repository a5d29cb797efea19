import type { Flags } from '../cli/flags.ts'
import type { System, SystemOptions } from '../run.ts'
import type { Terminal } from '../terminal/output.ts'

/** What a command's action is given: the means to put its system together, once it knows its flags. */
export interface Context {
  /** For a command that reports even where no system can be put together. */
  readonly terminal: Terminal
  /** The home folders of whoever runs atlas, which reports do not spell out. */
  readonly homes: readonly string[]
  system(flags: Flags, options?: SystemOptions): Promise<System>
}
