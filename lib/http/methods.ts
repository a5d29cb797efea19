/** The usual methods, for completion and for knowing them without `node:http`, which takes 10 ms to load. */
export const USUAL_METHODS: readonly string[] = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD']

/**
 * The methods that are sent as they are given: for any other name the runtime sends a GET without a word.
 * CONNECT asks for no resource, and TRACE would have the server repeat the token (RFC 9110 §9.3.8).
 */
export async function sendableMethods(): Promise<readonly string[]> {
  const { METHODS } = await import('node:http')
  return METHODS.filter(method => method !== 'CONNECT' && method !== 'TRACE')
}
