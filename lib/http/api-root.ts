import { normalizeApiUrl, possibleApiRoots } from '../config/server.ts'
import { AtlasError } from '../errors.ts'
import {
  type Answer,
  badResponse,
  CHECK_SERVER_URL,
  errorFor,
  isApiRefusal,
  type Reader,
  redirectTarget,
} from './answer.ts'
import type { DirectRequest, Http } from './requests.ts'

/** What an API answers to every user, and to nobody without a token. */
const PATH = '/auth/me'

/**
 * Where the API of a server is: the first place that refuses a request without a token as an API does. No secret is
 * sent, so that a later one goes to an Atlas API alone.
 * @throws {AtlasError} `bad_response`, `server_error`, `rate_limited`: neither place does, each named with its answer;
 * and what keeps a request from being answered.
 */
export async function findApiRoot(
  apiUrl: string,
  { http, reader }: { readonly http: Pick<Http, 'ask'>; readonly reader: Reader },
  limits: Pick<DirectRequest, 'signal' | 'timeoutMs'>,
): Promise<string> {
  const refused: { said: string; error: AtlasError }[] = []
  for (const apiRoot of possibleApiRoots(apiUrl)) {
    const answer = await http.ask(apiRoot, PATH, { method: 'GET', ...limits }).catch(unreadable)
    if (!(answer instanceof AtlasError) && answer.status === 401 && isApiRefusal(answer)) return apiRoot
    const [said, error] =
      answer instanceof AtlasError
        ? ['sent an answer that cannot be read', answer]
        : [`answered ${describe(answer, reader)}`, explain(answer, apiUrl, reader)]
    refused.push({ said: `${apiRoot}${PATH} ${said}`, error })
  }
  // An error that may pass, or that says what to do, is preferred to one that only says to check the URL.
  const { error } = refused.find(({ error }) => error.hint !== CHECK_SERVER_URL) ?? {}
  throw new AtlasError(
    error?.code ?? 'bad_response',
    `No Atlas API was found at ${apiUrl}: ${refused.map(({ said }) => said).join('; ')}.`,
    error?.hint ?? hintFor(apiUrl),
  )
}

/** An answer that cannot be read. @throws any other error */
function unreadable(error: unknown): AtlasError {
  if (error instanceof AtlasError && error.code === 'bad_response') return error
  throw error
}

function describe({ status, headers }: Answer, reader: Reader): string {
  const target = redirectTarget(headers, reader)
  if (status >= 300 && status < 400 && target !== '') return `${status}, a redirect${target}`
  if (/\bhtml\b/i.test(headers.get('content-type') ?? '')) return `${status} with a web page`
  return status === 401 ? '401, but not as an API does' : `${status}`
}

/** What a status means, and what to do where the question was redirected to another server or another path. */
function explain(answer: Answer, apiUrl: string, reader: Reader): AtlasError {
  const { status, headers, url } = answer
  const target = URL.parse(headers.get('location') ?? '', url.href)
  const isSafe = target?.protocol === 'https:' || (target?.protocol === 'http:' && url.protocol === 'http:')
  if (status < 300 || status > 399 || !isSafe || !target.pathname.endsWith(PATH))
    return errorFor(answer, reader)
  const server = normalizeApiUrl(target.origin + target.pathname.slice(0, -PATH.length), 'Location')
  if (server === apiUrl || !reader.isSafeToShow(server)) return errorFor(answer, reader)
  const hint = `The server redirects to ${server}. If you trust that one, name it with --api-url.`
  return badResponse(answer, 'it redirects', hint)
}

function hintFor(apiUrl: string): string {
  const { origin, pathname } = new URL(apiUrl)
  return pathname === '/' ? CHECK_SERVER_URL : `${CHECK_SERVER_URL} Most servers have no path: ${origin}`
}
