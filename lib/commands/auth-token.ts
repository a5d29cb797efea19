import { type Flags, parseDuration } from '../cli/flags.ts'
import type { Run } from '../run.ts'
import type { Register } from './context.ts'
import { freshToken, MIN_TTL_FLAG } from './fresh-token.ts'

/** Print an access token that lives for `minTtlMs`. @throws as `freshToken` does */
export async function token(
  minTtlMs: number | undefined,
  { credentials, terminal, now }: Run,
): Promise<void> {
  const { accessToken, expiresAt } = await freshToken(minTtlMs, { credentials, terminal, now })
  if (!terminal.json) return terminal.say(accessToken)
  return terminal.sayJson({ access_token: accessToken, expires_at: expiresAt, source: credentials.source })
}

export const registerToken: Register = (cli, context) =>
  cli
    .command('auth token', 'Print a valid access token, for scripts')
    .option(...MIN_TTL_FLAG)
    .example('  $ atlas auth token --min-ttl 10m')
    .example('  $ atlas auth token --json')
    .action(async (flags: Flags) => {
      const minTtl = flags.text('min-ttl')
      const minTtlMs = minTtl === undefined ? undefined : parseDuration(minTtl, '--min-ttl')
      await token(minTtlMs, await context.run(flags))
    })
