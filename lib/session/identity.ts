import { AtlasError } from '../errors.ts'
import { badResponse, errorFor } from '../http/answer.ts'
import { parseJsonObject } from '../json-object.ts'
import type { Secrets } from '../terminal/secrets.ts'
import type { Credential } from './credentials.ts'
import type { SessionDependencies } from './session.ts'

/** The longest that a server is waited for which is asked who is logged in, in milliseconds. */
const TIMEOUT_MS = 5_000

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

/** Ask the server who is logged in. */
export async function whoIs(
  credential: Pick<Credential, 'apiRoot' | 'bearer'>,
  { http, reader, secrets }: Pick<SessionDependencies, 'http' | 'reader' | 'secrets'>,
  signal?: AbortSignal,
): Promise<Confirmation> {
  try {
    const answer = await http.get(credential, '/auth/me', {
      timeoutMs: TIMEOUT_MS,
      ...(signal && { signal }),
    })
    if (answer.status === 404) return { kind: 'cannot_confirm', user: undefined }
    if (answer.status !== 200) throw errorFor(answer, reader)
    const fields = parseJsonObject(new TextDecoder().decode(answer.body))
    if (fields === undefined) throw badResponse(answer, 'the answer is not a JSON object')
    const user = parseUser(fields, secrets)
    if (user === undefined) throw badResponse(answer, 'the answer does not say who is logged in')
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
