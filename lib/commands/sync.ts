import { type Flags, parseDuration } from '../cli/flags.ts'
import type { Run } from '../run.ts'
import { isFresh } from '../sync/freshness.ts'
import type { SyncMemory } from '../sync/memory.ts'
import { findPlace, type Place } from '../sync/place.ts'
import type { SyncOptions } from '../sync/pull.ts'
import { styled } from '../terminal/style.ts'
import type { Register } from './context.ts'
import { accountOf, DIR_FLAG, inCommit, memoryOf, sayReport } from './sync-file.ts'

/**
 * Bring the server's configuration into the local file, unless that would lose local changes.
 * @param dir the folder as typed; undefined where it follows from the environment.
 * @param maxAgeMs how old the last sync may be, so that nothing is asked; undefined to ask always.
 * @throws {AtlasError} as `pull` does.
 */
export async function sync(
  dir: string | undefined,
  maxAgeMs: number | undefined,
  options: SyncOptions,
  run: Run,
): Promise<void> {
  const place = findPlace(dir, run)
  const memory = memoryOf(place, run)
  const account = await accountOf(run)
  const mayBeFresh = maxAgeMs !== undefined && !options.dryRun
  if (mayBeFresh && isFresh(place, memory.recall(), account, maxAgeMs, run.now()))
    return sayFresh(place, memory, run)
  // Loaded when needed: a sync that has nothing to do costs every session of an assistant its start.
  const { pull } = await import('./sync-pull.ts')
  await pull(place, memory, account, options, run)
}

function sayFresh(place: Place, memory: SyncMemory, run: Run): Promise<void> {
  const { commitSha } = memory.recall()
  if (!run.terminal.json)
    return run.terminal.say([styled('green', `Synced a short while ago${inCommit(commitSha)}`)])
  const remote = { commitSha, updatedAt: null }
  return sayReport(place, { result: 'up_to_date', verdict: 'in_sync', remote, backup: null, diff: null }, run)
}

export const registerSync: Register = (cli, context) =>
  cli
    .command('sync', 'Bring the configuration that the server keeps for you into CLAUDE.md')
    .option('-n, --dry-run', 'Show what would change, and write nothing')
    .option('-f, --force', 'Overwrite local changes; your text is kept as a dated backup')
    .option('--max-age <duration>', 'Ask the server only if the last sync is as old as this, such as 30m')
    .option(...DIR_FLAG)
    .example('  $ atlas sync')
    .example('  $ atlas sync --dry-run')
    .example('  $ atlas sync --dir ~/work/.claude --json')
    .action(async (flags: Flags) => {
      const options = { force: flags.has('force'), dryRun: flags.has('dry-run') }
      const maxAge = flags.text('max-age')
      const maxAgeMs = maxAge === undefined ? undefined : parseDuration(maxAge, '--max-age')
      await sync(flags.text('dir'), maxAgeMs, options, await context.run(flags))
    })
