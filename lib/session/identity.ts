import { AtlasError } from '../errors.ts'
import { type Answer, badResponse, errorFor, parseJsonObject, type Reader } from '../http/answer.ts'
import type { Http } from '../http/requests.ts'
import type { Secrets } from '../terminal/secrets.ts'
import type { Credential } from './credentials.ts'

/** The longest that a server is waited for which is asked who is logged in, in milliseconds. */
const TIMEOUT_MS = 5_000
const PATH = '/auth/me'

/** What the server says of the user. */
export interface User {
  readonly email: string
  readonly username: string | null
  readonly role: string | null
}

/** The server's answer to who is logged in: a user, no such endpoint (404), or why it is not known. */
export type Confirmation =
  | { readonly kind: 'confirmed'; readonly user: User }
  | { readonly kind: 'cannot_confirm'; readonly user: undefined }
  | { readonly kind: 'failed'; readonly user: undefined; readonly error: AtlasError }

export interface IdentityDependencies {
  readonly http: Http
  readonly reader: Reader
  readonly secrets: Secrets
  readonly now: () => Date
}

/** Ask the server who is logged in; the session is refreshed where it must be. */
export function whoIs(credential: Credential, dependencies: IdentityDependencies): Promise<Confirmation> {
  const { http, now } = dependencies
  return confirmed(dependencies, async () => {
    const [{ answered }, client] = await Promise.all([import('../http/client.ts'), http.client(credential)])
    // As bytes: a server may leave out that its answer is JSON, and atlas knows what it asked for.
    const response = await answered(
      client.raw<ArrayBuffer, 'arrayBuffer'>(PATH, {
        responseType: 'arrayBuffer',
        guard: { timeoutMs: TIMEOUT_MS },
      }),
    )
    const { status, statusText, headers, _data } = response
    const url = new URL(credential.apiRoot + PATH)
    const body = new TextDecoder().decode(_data)
    return { request: `GET ${PATH}`, url, status, statusText, headers, body, receivedAt: now() }
  })
}

/** The same for a session that has just begun, whose token is not replaced. */
export const whoHasJustLoggedIn = (
  { apiRoot, accessToken }: Pick<Credential, 'apiRoot' | 'accessToken'>,
  signal: AbortSignal,
  dependencies: IdentityDependencies,
): Promise<Confirmation> =>
  confirmed(dependencies, () => {
    const headers = { authorization: `Bearer ${accessToken}` }
    return dependencies.http.ask(apiRoot, PATH, { method: 'GET', headers, timeoutMs: TIMEOUT_MS, signal })
  })

async function confirmed(
  { reader, secrets }: IdentityDependencies,
  ask: () => Promise<Answer>,
): Promise<Confirmation> {
  try {
    const answer = await ask()
    if (answer.status === 404) return { kind: 'cannot_confirm', user: undefined }
    if (answer.status !== 200) throw errorFor(answer, reader)
    return { kind: 'confirmed', user: parseUser(answer, secrets) }
  } catch (error) {
    if (error instanceof AtlasError) return { kind: 'failed', user: undefined, error }
    throw error
  }
}

/** @throws {AtlasError} `bad_response`: a page that answers everything with 200 and some JSON knows nobody. */
function parseUser(answer: Answer, { mask, isSafeToShow }: Secrets): User {
  const fields = parseJsonObject(answer.body)
  if (fields === undefined) throw badResponse(answer, 'the answer is not a JSON object')
  const text = (name: string): string | null => {
    const value = fields[name]
    return typeof value === 'string' ? mask(value) : null
  }
  const unlessSecret = (value: string | null): string | null =>
    value === null || isSafeToShow(value) ? value : '[hidden]'
  // An e-mail may contain a short password, and is known to whoever typed it.
  const email = text('email')
  if (!email) throw badResponse(answer, 'the answer does not say who is logged in')
  return { email, username: unlessSecret(text('username')), role: unlessSecret(text('role')) }
}
