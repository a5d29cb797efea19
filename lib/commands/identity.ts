import type { $Fetch } from 'ofetch'
import type { Config } from '../config/load.ts'
import type { StoreKind } from '../config/values.ts'
import { AtlasError } from '../errors.ts'
import { answerIn, unwrapFetchError } from '../http/fetch-error.ts'
import { parseJsonObject } from '../session/protocol.ts'
import type { Session } from '../session/record.ts'
import type { Secrets } from '../terminal/secrets.ts'

export type LoginState = 'authenticated' | 'unverified' | 'rejected' | 'not_logged_in'

/** What the server says of the user. */
export interface User {
  readonly email: string
  readonly username: string | null
  readonly role: string | null
}

/** The server's answer to who is logged in: a user, no such endpoint (404), or why it is not known. */
export type Confirmation =
  | { readonly kind: 'confirmed'; readonly known: User }
  | { readonly kind: 'cannot_confirm'; readonly known: undefined }
  | { readonly kind: 'failed'; readonly known: undefined; readonly error: AtlasError }

/** The longest that a server is waited for which is asked who is logged in, in milliseconds. */
const IDENTITY_TIMEOUT_MS = 5_000

/**
 * Ask the server who is logged in.
 * @param secrets taken out of what the server says.
 */
export async function fetchUser(
  client: $Fetch,
  secrets: Pick<Secrets, 'mask' | 'isSafeToShow'>,
): Promise<Confirmation> {
  try {
    // As bytes: a server may leave out that its answer is JSON, and atlas knows what it asked for.
    const answer = await client<ArrayBuffer, 'arrayBuffer'>('/auth/me', {
      responseType: 'arrayBuffer',
      guard: { timeoutMs: IDENTITY_TIMEOUT_MS },
    })
    const fields = parseJsonObject(new TextDecoder().decode(answer))
    if (fields === undefined) return failed('bad_response', 'The answer is not a JSON object.')
    const text = (name: string): string | null => {
      const value = fields[name]
      return typeof value === 'string' ? secrets.mask(value) : null
    }
    // An e-mail may well hold a short password, and is no news to whoever typed it.
    const unlessRepeating = (value: string | null): string | null =>
      value === null || secrets.isSafeToShow(value) ? value : '[hidden]'
    const email = text('email')
    // A page that answers everything with 200 and some JSON knows nobody.
    if (!email) return failed('bad_response', 'The answer does not say who is logged in.')
    return {
      kind: 'confirmed',
      known: { email, username: unlessRepeating(text('username')), role: unlessRepeating(text('role')) },
    }
  } catch (thrown) {
    const error = unwrapFetchError(thrown)
    if (error instanceof AtlasError) return { kind: 'failed', known: undefined, error }
    const status = answerIn(error)?.status
    if (status === undefined) throw error
    if (status === 404) return { kind: 'cannot_confirm', known: undefined }
    if (status === 401) return failed('token_rejected', 'The server does not accept the access token (401).')
    if (status === 429) return failed('rate_limited', 'The server has had too many requests (429).')
    return failed(status >= 500 ? 'server_error' : 'bad_response', `The server answered ${status}.`)
  }
}

const failed = (code: ConstructorParameters<typeof AtlasError>[0], reason: string): Confirmation => ({
  kind: 'failed',
  known: undefined,
  error: new AtlasError(code, reason),
})

export interface Status {
  readonly state: LoginState
  readonly session: Session | undefined
  readonly source: StoreKind | 'env' | null
  readonly user: User | undefined
  readonly reason: string | null
  /** For a token that no session holds. */
  readonly expiresAt?: Date | null
}

/** The JSON object that tells who is logged in where. */
export const statusJson = (config: Config, { state, session, source, user, reason, expiresAt }: Status) => ({
  state,
  profile: config.profile.value,
  api_url: config.apiUrl.value,
  email: user?.email ?? session?.email ?? null,
  username: user?.username ?? null,
  role: user?.role ?? null,
  source,
  store: config.store.value,
  expires_at: session?.expiresAt ?? expiresAt ?? null,
  session_expires_at: session?.sessionExpiresAt ?? null,
  reason,
})
