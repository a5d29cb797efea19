import type { $Fetch } from 'ofetch'
import { AtlasError } from '../errors.ts'
import { USER_AGENT } from '../version.ts'
import type { Answer } from './answer.ts'
import type { ClientOptions } from './client.ts'
import type { Guard, Transport, TransportPolicy } from './transport.ts'

export interface DirectRequest {
  readonly method: 'GET' | 'POST'
  readonly headers?: Record<string, string>
  readonly body?: URLSearchParams
  /** A tighter limit than the configured one, in milliseconds. */
  readonly timeoutMs?: number
  /** What the server does cannot be taken back: see `Guard`. */
  readonly irreversible?: boolean
  readonly signal: AbortSignal
}

/** Every way to make a request. The modules behind it are loaded at the first one. */
export interface Http {
  readonly fetch: Transport
  /**
   * A request without the client, sent once: a refresh that went through it would wait for itself.
   * @throws {AtlasError} as a transport does; of an irreversible one the answer has a `bodyFault` instead once its
   * headers have come.
   */
  ask(apiRoot: string, path: string, request: DirectRequest): Promise<Answer>
  /** A client that carries a credential's token, replaced as needed. */
  client(credential: ClientOptions): Promise<$Fetch>
  /** The answer to a GET by that client, whatever its status. @throws {AtlasError} as the client does. */
  get(credential: ClientOptions, path: string, limits: Limits): Promise<BytesAnswer>
  /** The same for a request that carries JSON, or nothing. */
  send(
    method: 'PUT' | 'POST',
    credential: ClientOptions,
    path: string,
    json: unknown,
    limits: Limits,
  ): Promise<BytesAnswer>
}

export type Limits = Guard & { readonly signal?: AbortSignal }

/** The body as bytes: a text decoder would put U+FFFD in the place of what is not UTF-8. */
export type BytesAnswer = Omit<Answer, 'body'> & { readonly body: Uint8Array }

function toFault(error: unknown): AtlasError {
  if (error instanceof AtlasError) return error
  throw error
}

export function createHttp(policy: TransportPolicy, now: () => Date): Http {
  let transport: Promise<Transport> | undefined
  const fetch: Transport = async (input, init) => {
    transport ??= import('./transport.ts').then(({ createTransport }) => createTransport(policy))
    return (await transport)(input, init)
  }
  const ask: AskByClient = async (method, credential, path, json, { signal, ...guard }) => {
    const { answered, createClient } = await import('./client.ts')
    const { status, statusText, headers, _data } = await answered(
      createClient(credential, fetch).raw(path, {
        method,
        headers: {
          accept: 'application/json',
          ...(json !== undefined && { 'content-type': 'application/json' }),
        },
        responseType: 'stream',
        guard,
        ...(json !== undefined && { body: JSON.stringify(json) }),
        ...(signal && { signal }),
      }),
    )
    const [request, url] = [`${method} ${path}`, new URL((await credential.apiRoot()) + path)]
    // Read already, and in one piece: see `readWhole`.
    const { value: body = new Uint8Array() } = (await _data?.getReader().read()) ?? {}
    return { request, url, status, statusText, headers, body, receivedAt: now() }
  }
  return {
    fetch,
    async ask(apiRoot, path, { method, headers, body, timeoutMs, irreversible, signal }) {
      const url = new URL(apiRoot + path)
      const response = await fetch(url, {
        method,
        headers: { accept: 'application/json', 'user-agent': USER_AGENT, ...headers },
        signal,
        ...(body && { body }),
        guard: { ...(timeoutMs !== undefined && { timeoutMs }), ...(irreversible && { irreversible }) },
      })
      const { status, statusText } = response
      const read = await response.text().catch(toFault)
      const text = typeof read === 'string' ? { body: read } : { body: '', bodyFault: read }
      const request = `${method} ${path}`
      return { request, url, status, statusText, headers: response.headers, ...text, receivedAt: now() }
    },
    async client(credential) {
      const { createClient } = await import('./client.ts')
      return createClient(credential, fetch)
    },
    get: (credential, path, limits) => ask('GET', credential, path, undefined, limits),
    send: ask,
  }
}

type AskByClient = (
  method: 'GET' | 'PUT' | 'POST',
  credential: ClientOptions,
  path: string,
  json: unknown,
  limits: Limits,
) => Promise<BytesAnswer>
