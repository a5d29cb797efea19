import { nearest } from '../../cli/argv.ts'
import { AtlasError } from '../../errors.ts'

/**
 * The methods that arrive as they are given: for any other name the runtime sends a GET without a word.
 * CONNECT asks for no resource, and TRACE would have the server repeat the token (RFC 9110 §9.3.8).
 */
export const METHODS: readonly string[] = [
  'GET',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'HEAD',
  'OPTIONS',
  'QUERY',
  'ACL',
  'BIND',
  'CHECKOUT',
  'COPY',
  'LINK',
  'LOCK',
  'M-SEARCH',
  'MERGE',
  'MKACTIVITY',
  'MKCALENDAR',
  'MKCOL',
  'MOVE',
  'NOTIFY',
  'PROPFIND',
  'PROPPATCH',
  'PURGE',
  'REBIND',
  'REPORT',
  'SEARCH',
  'SOURCE',
  'SUBSCRIBE',
  'UNBIND',
  'UNLINK',
  'UNLOCK',
  'UNSUBSCRIBE',
]

/**
 * A method as it is sent, in upper case.
 * @throws {AtlasError} `usage`: it is none that atlas can send, with the nearest that it can.
 */
export async function parseMethod(text: string): Promise<string> {
  const method = text.toUpperCase()
  if (METHODS.includes(method)) return method
  const meant = await nearest(method, METHODS)
  throw new AtlasError(
    'usage',
    `--method is "${text.slice(0, 80)}", which is no HTTP method that atlas sends.`,
    meant ? `Did you mean ${meant}?` : 'Give one such as GET, POST or DELETE.',
  )
}
