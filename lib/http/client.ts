import { type $Fetch, createFetch, type FetchContext, type FetchOptions, type FetchResponse } from 'ofetch'
import { resolveRequestUrl } from '../config/server.ts'
import { AtlasError } from '../errors.ts'
import { USER_AGENT } from '../version.ts'
import { CHECK_SERVER_URL } from './answer.ts'
import type { Transport } from './transport.ts'

/** Where a client's access token comes from. */
export interface BearerSource {
  /** A token that is worth sending; refreshed first where it is about to expire. */
  accessToken(): Promise<string>
  /** Get another token for a rejected one. @returns false where there is no other. */
  replace(rejected: string): Promise<boolean>
}

export interface ClientOptions {
  /** The URL that request paths are relative to, looked for if need be; its origin alone ever sees the token. */
  readonly apiRoot: () => Promise<string>
  readonly bearer: BearerSource
}

/**
 * A client whose requests carry an access token. A 401 refreshes the session once and sends the request
 * again with its body, unless that is a stream; JSON answers are parsed strictly.
 * @throws {AtlasError} by its calls: what kept a request from being answered; `network` where a stream would
 * have to be sent again. An answer of 400 and above is ofetch's FetchError (see `answered`).
 */
export function createClient({ apiRoot, bearer }: ClientOptions, transport: Transport): $Fetch {
  const sent = new WeakMap<FetchOptions, string>()
  return createFetch({ fetch: transport as typeof fetch }).create({
    retry: 1,
    retryStatusCodes: [401],
    responseType: 'text',
    async onRequest(context) {
      const url = resolveRequestUrl(await apiRoot(), String(context.request))
      context.request = url.href
      const token = await bearer.accessToken()
      sent.set(context.options, token)
      context.options.headers.set('authorization', `Bearer ${token}`)
      context.options.headers.set('user-agent', USER_AGENT)
    },
    onResponse({ request, response, options }) {
      if (options.responseType !== 'text' || !response.ok || !response._data) return
      if (!/^application\/([\w.-]+\+)?json\b/i.test(response.headers.get('content-type') ?? '')) return
      response._data = parseStrictly(response._data, String(request))
    },
    async onResponseError(context) {
      if (context.response.status !== 401 || context.options.retry === 0) return
      const replaced = await bearer.replace(sent.get(context.options) ?? '')
      if (!replaced) context.options.retry = false
      else if (isStream(context.options.body)) throw cannotRepeat(context)
    },
  })
}

const isStream = (body: unknown): boolean =>
  body instanceof ReadableStream || (typeof body === 'object' && body !== null && 'pipe' in body)

const cannotRepeat = ({ request }: FetchContext): AtlasError =>
  new AtlasError(
    'network',
    `The session had to be refreshed, and the body of ${new URL(String(request)).pathname} came from a pipe that cannot be read twice.`,
    'The session is fresh now: run the command again.',
  )

function parseStrictly(text: string, request: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new AtlasError(
      'bad_response',
      `${new URL(request).origin} sent an answer that is not valid JSON.`,
      CHECK_SERVER_URL,
    )
  }
}

/** The answer to a client's call, whatever its status. @throws {AtlasError} what ofetch has wrapped. */
export async function answered<T>(call: Promise<FetchResponse<T>>): Promise<FetchResponse<T>> {
  try {
    return await call
  } catch (error) {
    if (!(error instanceof Error) || error.name !== 'FetchError') throw error
    if (error.cause instanceof AtlasError) throw error.cause
    const { response } = error as Error & { response?: FetchResponse<T> }
    if (response === undefined) throw error
    return response
  }
}
