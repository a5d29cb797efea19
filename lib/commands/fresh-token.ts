import { AtlasError } from '../errors.ts'
import type { Run } from '../run.ts'
import type { Credential } from '../session/credentials.ts'
import { endsWithin, FRESH_MS } from '../session/record.ts'
import { describeDuration } from '../terminal/time.ts'

export const MIN_TTL_FLAG = [
  '--min-ttl <duration>',
  'The least time the token must stay valid, such as 90s, 10m or 1h (default: 30s)',
] as const

/**
 * A credential whose access token lives long enough, refreshed first where it would not.
 * @param minTtlMs FRESH_MS if undefined.
 * @throws {AtlasError} `ttl_unavailable`: the server gives no token of that life.
 */
export async function freshToken(
  minTtlMs: number | undefined,
  { credentials, terminal, now }: Pick<Run, 'credentials' | 'terminal' | 'now'>,
): Promise<Credential> {
  const ttlMs = minTtlMs ?? FRESH_MS
  const credential = await terminal.during('Refreshing the session', credentials.fresh(ttlMs))
  const { expiresAt } = credential
  const mustLive = minTtlMs !== undefined || credentials.source !== 'env'
  if (!mustLive || !endsWithin(expiresAt, ttlMs, now())) return credential
  const lifeMs = Math.max(0, (expiresAt?.getTime() ?? 0) - now().getTime())
  const fault = credentials.tokenFault()
  if (fault !== undefined) throw new AtlasError('ttl_unavailable', `${fault}.`, credentials.renewHint)
  throw new AtlasError(
    'ttl_unavailable',
    `A token of this server is valid for ${describeDuration(lifeMs)} at most.`,
    `Ask for less with --min-ttl ${Math.floor(lifeMs / 1000)}s.`,
  )
}
