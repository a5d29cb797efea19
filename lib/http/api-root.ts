import { normalizeApiUrl, possibleApiRoots } from '../config/server.ts'
import { AtlasError } from '../errors.ts'
import {
  type Answer,
  CHECK_SERVER_URL,
  errorFor,
  isApiRefusal,
  type Reader,
  redirectTarget,
} from './answer.ts'
import type { DirectRequest, Http } from './requests.ts'

/** What every user may ask, and nobody without a token. */
const PATH = '/auth/me'

/**
 * Where the API of a server is: the first place that refuses a request without a token as an API does. No secret is
 * sent, so that a later one goes to an Atlas API alone.
 * @throws {AtlasError} `bad_response`, `server_error`, `rate_limited`: no place does, naming each and its answer; and
 * what keeps a request from being answered.
 */
export async function findApiRoot(
  apiUrl: string,
  { http, reader }: { readonly http: Pick<Http, 'ask'>; readonly reader: Reader },
  limits: Pick<DirectRequest, 'signal' | 'timeoutMs'>,
): Promise<string> {
  const others: { said: string; error: AtlasError }[] = []
  for (const apiRoot of possibleApiRoots(apiUrl)) {
    const answer = await http.ask(apiRoot, PATH, { method: 'GET', ...limits }).catch(unreadable)
    if (answer instanceof AtlasError) {
      others.push({ said: `${apiRoot}${PATH} sent an answer that cannot be read`, error: answer })
    } else if (answer.status === 401 && isApiRefusal(answer)) {
      return apiRoot
    } else {
      const { code, hint } = errorFor(answer, reader)
      const error = new AtlasError(code, '', movedTo(answer, apiUrl, reader) ?? hint)
      others.push({ said: `${apiRoot}${PATH} answered ${describe(answer, reader)}`, error })
    }
  }
  const told = others.find(({ error }) => error.code !== 'bad_response' || error.hint !== CHECK_SERVER_URL)
  const { code, hint } = (told ?? others[0])?.error ?? {}
  const said = others.map(({ said }) => said).join(', ')
  throw new AtlasError(code ?? 'bad_response', `There is no Atlas API at ${apiUrl}: ${said}.`, hint)
}

/** An answer that was none. @throws any other error */
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

/** What to do where the same question is redirected to another server, or to another name of this one. */
function movedTo(
  { status, headers, url }: Answer,
  apiUrl: string,
  { isSafeToShow }: Reader,
): string | undefined {
  const target = URL.parse(headers.get('location') ?? '', url.href)
  if (status < 300 || status > 399 || !target?.pathname.endsWith(PATH)) return undefined
  if (url.protocol === 'https:' && target.protocol !== 'https:') return undefined
  const server = normalizeApiUrl(target.origin + target.pathname.slice(0, -PATH.length), 'Location')
  if (server === apiUrl || !isSafeToShow(server)) return undefined
  return `The server redirects to ${server}. If you trust that one, name it with --api-url.`
}
