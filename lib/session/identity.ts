import { AtlasError } from '../errors.ts'
import { badResponse, errorFor, parseJsonObject, type Reader } from '../http/answer.ts'
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

/** Ask the server who is logged in. */
export async function whoIs(
  { apiRoot, bearer }: Pick<Credential, 'apiRoot' | 'bearer'>,
  { http, reader, secrets, now }: IdentityDependencies,
  signal?: AbortSignal,
): Promise<Confirmation> {
  try {
    const { answered } = await import('../http/client.ts')
    const client = await http.client({ apiRoot, bearer })
    // As bytes: a server may leave out that its answer is JSON, and atlas knows what it asked for.
    const call = client.raw<ArrayBuffer, 'arrayBuffer'>(PATH, {
      responseType: 'arrayBuffer',
      guard: { timeoutMs: TIMEOUT_MS },
      ...(signal && { signal }),
    })
    const { status, headers, _data } = await answered(call)
    if (status === 404) return { kind: 'cannot_confirm', user: undefined }
    const asked = { request: `GET ${PATH}`, url: new URL(apiRoot + PATH) }
    if (status !== 200) throw errorFor({ ...asked, status, headers, receivedAt: now() }, reader)
    const fields = parseJsonObject(new TextDecoder().decode(_data))
    if (fields === undefined) throw badResponse(asked, 'the answer is not a JSON object')
    const user = parseUser(fields, secrets)
    if (user === undefined) throw badResponse(asked, 'the answer does not say who is logged in')
    return { kind: 'confirmed', user }
  } catch (error) {
    if (error instanceof AtlasError) return { kind: 'failed', user: undefined, error }
    throw error
  }
}

/** @returns undefined for a page that answers everything with 200 and some JSON. */
function parseUser(fields: Record<string, unknown>, { mask, isSafeToShow }: Secrets): User | undefined {
  const text = (name: string): string | null => {
    const value = fields[name]
    return typeof value === 'string' ? mask(value) : null
  }
  const unlessSecret = (value: string | null): string | null =>
    value === null || isSafeToShow(value) ? value : '[hidden]'
  // An e-mail may contain a short password, and is known to whoever typed it.
  const email = text('email')
  return email
    ? { email, username: unlessSecret(text('username')), role: unlessSecret(text('role')) }
    : undefined
}
