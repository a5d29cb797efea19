import type { Flags } from '../cli/flags.ts'
import { usageError } from '../errors.ts'
import type { Run } from '../run.ts'
import { fetchHistory, MAX_VERSIONS } from '../sync/history.ts'
import { findPlace } from '../sync/place.ts'
import { shortCommit } from '../sync/remote.ts'
import { describeMoment } from '../terminal/time.ts'
import type { Register } from './context.ts'
import { DIR_FLAG, memoryOf } from './sync-file.ts'

const USUAL_VERSIONS = 20

/** List the texts that the server has kept, newest first; the one that is synced here is marked. */
export async function history(dir: string | undefined, limit: number, run: Run): Promise<void> {
  const { config, credentials, terminal, now } = run
  const synced = memoryOf(findPlace(dir, run), run).recall().commitSha
  const credential = await credentials.require()
  const asking = fetchHistory(limit, credential, run)
  const { versions, total } = await terminal.during(`Asking ${config.apiUrl.value}`, asking)
  if (terminal.json)
    return terminal.sayJson({
      profile: config.profile.value,
      api_url: config.apiUrl.value,
      total,
      versions: versions.map(({ commitSha, message, author, timestamp }) => ({
        commit_sha: commitSha,
        message,
        author,
        timestamp,
        synced: commitSha === synced,
      })),
    })
  if (versions.length === 0) return terminal.say(`${config.apiUrl.value} has no configuration for you yet`)
  const widthOf = (cells: readonly string[]): number => Math.max(...cells.map(({ length }) => length))
  const moments = versions.map(({ timestamp }) => (timestamp ? describeMoment(timestamp, now()) : 'unknown'))
  const authors = versions.map(({ author }) => author)
  for (const [index, { commitSha, message }] of versions.entries()) {
    const cells = [
      `${commitSha === synced ? '*' : ' '} ${shortCommit(commitSha)}`,
      (moments[index] ?? '').padEnd(widthOf(moments)),
      (authors[index] ?? '').padEnd(widthOf(authors)),
      message.split('\n')[0] ?? '',
    ]
    await terminal.say(cut(cells.join('  ').trimEnd(), terminal.columns))
  }
  if (total > versions.length)
    terminal.notice(`${total - versions.length} older ones; more are shown with --limit ${MAX_VERSIONS}`)
}

/** A line that fits on a terminal. */
const cut = (line: string, columns = Number.POSITIVE_INFINITY): string =>
  line.length > columns ? `${line.slice(0, columns - 1)}…` : line

function parseLimit(text: string | undefined): number {
  const limit = text === undefined ? USUAL_VERSIONS : Number(text)
  if (Number.isInteger(limit) && limit >= 1 && limit <= MAX_VERSIONS && /^\d+$/.test(text ?? '1'))
    return limit
  throw usageError(
    `--limit is "${text?.slice(0, 80)}", which is not a whole number from 1 to ${MAX_VERSIONS}.`,
    'Give one such as 20.',
  )
}

export const registerHistory: Register = (cli, context) =>
  cli
    .command('history', 'List the texts that the server has kept of your configuration')
    .option('--limit <number>', `How many, from 1 to ${MAX_VERSIONS} (default: ${USUAL_VERSIONS})`)
    .option(...DIR_FLAG)
    .example('  $ atlas history')
    .example('  $ atlas history --limit 100 --json')
    .action(async (flags: Flags) => {
      const limit = parseLimit(flags.text('limit'))
      await history(flags.text('dir'), limit, await context.run(flags))
    })
