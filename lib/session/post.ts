import { createUnauthenticatedClient } from '../http/client.ts'
import { unwrapFetchError } from '../http/fetch-error.ts'
import type { GuardedFetch } from '../http/transport.ts'
import type { Answer, Asked } from './protocol.ts'

export interface PostOptions {
  readonly headers: Record<string, string>
  readonly body?: URLSearchParams
  /** A tighter limit than the configured one, in milliseconds. */
  readonly timeoutMs?: number
  readonly signal: AbortSignal
}

/**
 * Make one of the requests that begin, renew and end a session.
 * @throws {AtlasError} what kept it from being answered; the signal's reason.
 */
export type Post = (
  apiRoot: string,
  path: string,
  options: PostOptions,
) => Promise<{ answer: Answer; asked: Asked }>

/** Requests without the client that refreshes sessions: a refresh must not wait for itself. */
export function createPost({
  guardedFetch,
  userAgent,
  now,
}: {
  readonly guardedFetch: GuardedFetch
  readonly userAgent: string
  readonly now: () => Date
}): Post {
  return async (apiRoot, path, { headers, body, timeoutMs, signal }) => {
    const client = createUnauthenticatedClient({ apiRoot, guardedFetch, userAgent })
    try {
      const response = await client.raw<string, 'text'>(path, {
        method: 'POST',
        headers,
        signal,
        ...(body && { body }),
        ...(timeoutMs && { guard: { timeoutMs } }),
      })
      const asked: Asked = { what: `POST ${path}`, url: new URL(apiRoot + path), now: now() }
      return {
        answer: { status: response.status, headers: response.headers, body: response._data ?? '' },
        asked,
      }
    } catch (error) {
      throw unwrapFetchError(error)
    }
  }
}
