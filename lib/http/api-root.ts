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
import { readRedirect } from './redirect.ts'
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
  const refused: { said: string; telling: AtlasError | undefined }[] = []
  for (const apiRoot of possibleApiRoots(apiUrl)) {
    const answer = await http.ask(apiRoot, PATH, { method: 'GET', ...limits }).catch(unreadable)
    if (!(answer instanceof AtlasError) && answer.status === 401 && isApiRefusal(answer)) return apiRoot
    const [said, telling] =
      answer instanceof AtlasError
        ? ['sent an answer that cannot be read', undefined]
        : [`answered ${describe(answer, reader)}`, explain(answer, apiUrl, reader)]
    refused.push({ said: `${apiRoot}${PATH} ${said}`, telling })
  }
  const { telling } = refused.find(({ telling }) => telling !== undefined) ?? {}
  throw new AtlasError(
    telling?.code ?? 'bad_response',
    `No Atlas API was found at ${apiUrl}: ${refused.map(({ said }) => said).join('; ')}.`,
    telling?.hint ?? hintFor(apiUrl),
  )
}

/** An answer that cannot be read. @throws any other error */
function unreadable(error: unknown): AtlasError {
  if (error instanceof AtlasError && error.code === 'bad_response') return error
  throw error
}

function describe(answer: Answer, reader: Reader): string {
  const { status, headers, url } = answer
  if (readRedirect(answer, url, url.origin)) return `${status}, a redirect${redirectTarget(headers, reader)}`
  if (/\bhtml\b/i.test(headers.get('content-type') ?? '')) return `${status} with a web page`
  return status === 401 ? '401, but not as an API does' : `${status}`
}

/** What says more than that the URL may be wrong: trouble that may pass, a proxy's 401, or a server that has moved. */
function explain(answer: Answer, apiUrl: string, reader: Reader): AtlasError | undefined {
  const { status, url } = answer
  if (status === 401 || status === 429 || status >= 500) return errorFor(answer, reader)
  const { url: target } = readRedirect(answer, url, url.origin) ?? {}
  const isSafe = target?.protocol === 'https:' || (target?.protocol === 'http:' && url.protocol === 'http:')
  if (!isSafe || !target.pathname.endsWith(PATH)) return undefined
  const server = normalizeApiUrl(target.origin + target.pathname.slice(0, -PATH.length), 'Location')
  if (server === apiUrl || !reader.isSafeToShow(server)) return undefined
  return badResponse(
    answer,
    'it redirects',
    `The server redirects to ${server}. If you trust that one, name it with --api-url.`,
  )
}

function hintFor(apiUrl: string): string {
  const { origin, pathname } = new URL(apiUrl)
  return pathname === '/' ? CHECK_SERVER_URL : `${CHECK_SERVER_URL} Most servers have no path: ${origin}`
}
