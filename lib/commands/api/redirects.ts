import { resolveRequestUrl } from '../../config/server.ts'
import { AtlasError } from '../../errors.ts'
import { type Answer, type Reader, redirectTarget, requestAndStatus } from '../../http/answer.ts'
import { type Redirect, readRedirect } from '../../http/redirect.ts'
import { shellQuoted } from '../../shell-quote.ts'

const MAX_REDIRECTS = 5
const FOLLOWED_METHODS = ['GET', 'HEAD']

/** An answer, and where it came from. */
export interface Arrival {
  readonly url: URL
  readonly response: Response
  /** The redirect that it is, and why that was not followed. */
  readonly unfollowed: { readonly redirect: Redirect; readonly why: string } | undefined
}

/** Ask, and go where a GET or HEAD is redirected to, as long as that is within the API: see `readRedirect`. */
export async function follow(
  method: string,
  asked: URL,
  apiRoot: string,
  ask: (url: URL) => Promise<Response>,
): Promise<Arrival> {
  let url = asked
  for (let count = 0; ; count++) {
    const response = await ask(url)
    const redirect = readRedirect(response, url, apiRoot)
    const why = redirect && whyNot(redirect, method, count)
    if (redirect === undefined || why !== undefined)
      return { url, response, unfollowed: redirect && why !== undefined ? { redirect, why } : undefined }
    await response.body?.cancel()
    url = redirect.url
  }
}

/** Why a redirect is not followed, as the rest of a sentence; undefined where it is. */
function whyNot({ path, isDowngrade }: Redirect, method: string, count: number): string | undefined {
  if (path === undefined) return ', which leads out of the API; atlas does not follow it.'
  if (isDowngrade)
    return ', the same server without TLS, where atlas sends no token. A server behind a TLS proxy does that when it does not know that clients reach it over https.'
  if (!FOLLOWED_METHODS.includes(method))
    return `, which atlas follows for ${FOLLOWED_METHODS.join(' and ')} only.`
  return count < MAX_REDIRECTS
    ? undefined
    : `; atlas has followed ${MAX_REDIRECTS} others before it, and follows no more.`
}

/**
 * What a redirect that was not followed means, with the command to run instead where there is one.
 * @param typedQuery the query in PATH as typed, without what flags add, which a person would give again.
 */
export function redirectError(
  answer: Omit<Answer, 'body'>,
  { redirect, why }: NonNullable<Arrival['unfollowed']>,
  { apiRoot, typedQuery }: { readonly apiRoot: string; readonly typedQuery: string },
  reader: Reader,
): AtlasError {
  const { path, url } = redirect
  const message = `${requestAndStatus(answer, reader)}: a redirect${redirectTarget(answer.headers, reader)}${why}`
  if (path === undefined) return new AtlasError('api_error', message)
  const place = new URL(apiRoot).origin + url.pathname
  // Such a path would name a host, or lose what looks like the API's own path.
  const isShort = !path.startsWith('//') && resolveRequestUrl(apiRoot, path).href === place
  const target = (isShort ? path : place) + (url.search === answer.url.search ? typedQuery : url.search)
  const command = `Run the command with that path: atlas api ${shellQuoted(target)} …`
  return new AtlasError('api_error', message, reader.isSafeToShow(target) ? command : undefined)
}
