/** A redirect that a client could follow, as seen from the API root that the request's token belongs to. */
export interface Redirect {
  readonly url: URL
  /** The path relative to the API root, such as `/admin/users/`; undefined where the redirect leaves the API. */
  readonly path: string | undefined
  /** It leads to the same host by plain http though https was asked, as applications behind a TLS proxy often do. */
  readonly isDowngrade: boolean
}

const REDIRECT_STATUSES = new Set([301, 302, 303, 307, 308])

/** @returns undefined where the answer redirects nowhere. @see RFC 9110 §15.4 */
export function readRedirect(
  { status, headers }: Pick<Response, 'status' | 'headers'>,
  asked: URL,
  apiRoot: string,
): Redirect | undefined {
  const location = headers.get('location')
  const url = location === null || !REDIRECT_STATUSES.has(status) ? null : URL.parse(location, asked.href)
  if (url === null) return undefined
  url.hash = ''
  const root = new URL(apiRoot)
  const isDowngrade = root.protocol === 'https:' && url.protocol === 'http:' && url.host === root.host
  const folder = root.pathname.replace(/\/?$/, '/')
  const isWithin =
    (url.origin === root.origin || isDowngrade) &&
    url.pathname.startsWith(folder) &&
    url.username + url.password === ''
  return { url, path: isWithin ? url.pathname.slice(folder.length - 1) : undefined, isDowngrade }
}
