import { type Flags, parseDuration } from '../cli/flags.ts'
import { AtlasError } from '../errors.ts'
import type { Run } from '../run.ts'
import { endsWithin, FRESH_MS } from '../session/record.ts'
import { describeDuration } from '../terminal/time.ts'
import type { Register } from './context.ts'

/**
 * Print an access token, refreshed first where it would not live for `minTtlMs` (FRESH_MS if undefined).
 * @throws {AtlasError} `ttl_unavailable`: the server gives no token of that life.
 */
export async function token(
  minTtlMs: number | undefined,
  { credentials, terminal, now }: Run,
): Promise<void> {
  const { source } = credentials
  const ttlMs = minTtlMs ?? FRESH_MS
  const { accessToken, expiresAt } = await terminal.during('Refreshing the session', credentials.fresh(ttlMs))
  const mustLive = minTtlMs !== undefined || source !== 'env'
  if (mustLive && endsWithin(expiresAt, ttlMs, now())) {
    const lifeMs = Math.max(0, (expiresAt?.getTime() ?? 0) - now().getTime())
    const fault = credentials.tokenFault()
    if (fault !== undefined) throw new AtlasError('ttl_unavailable', `${fault}.`, credentials.renewHint)
    throw new AtlasError(
      'ttl_unavailable',
      `A token of this server is valid for ${describeDuration(lifeMs)} at most.`,
      `Ask for less with --min-ttl ${Math.floor(lifeMs / 1000)}s.`,
    )
  }
  if (terminal.json) return terminal.sayJson({ access_token: accessToken, expires_at: expiresAt, source })
  return terminal.say(accessToken)
}

export const registerToken: Register = (cli, context) =>
  cli
    .command('auth token', 'Print a valid access token, for scripts')
    .option(
      '--min-ttl <duration>',
      'The least time it must stay valid, such as 90s, 10m or 1h (default: 30s)',
    )
    .example('  $ atlas auth token --min-ttl 10m')
    .example(
      '  $ curl -H "Authorization: Bearer $(atlas auth token)" https://atlas.example.com/api/v1/auth/me',
    )
    .action(async (flags: Flags) => {
      const minTtl = flags.text('min-ttl')
      const minTtlMs = minTtl === undefined ? undefined : parseDuration(minTtl, '--min-ttl')
      await token(minTtlMs, await context.run(flags))
    })
