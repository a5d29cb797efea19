import type { CAC, Command } from 'cac'
import type { Flags } from '../cli/flags.ts'
import type { Run, RunOptions } from '../run.ts'
import type { Terminal } from '../terminal/output.ts'

/** What a command's action is given. */
export interface Context {
  /** For a command that reports even where the configuration cannot be used. */
  readonly terminal: Terminal
  /** The home folders of whoever runs atlas, which reports do not spell out. */
  readonly homes: readonly string[]
  /** What the command works with, once its flags are known. @throws {AtlasError} `usage`, `insecure_url` */
  run(flags: Flags, options?: RunOptions): Promise<Run>
}

export type Register = (cli: CAC, context: Context) => Command
