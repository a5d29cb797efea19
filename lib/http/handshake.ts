import tls from 'node:tls'

/** The longest look, in milliseconds. */
const TIMEOUT_MS = 2_000

/**
 * Why a server ends every TLS handshake, which fetch does not say: by another handshake, over which nothing is sent.
 * @returns the end of a sentence; undefined where it does not show.
 * @see RFC 8446 §6.2
 */
export function handshakeFault({ hostname, port }: URL): Promise<string | undefined> {
  const host = hostname.replace(/^\[|\]$/g, '')
  const { promise, resolve } = Promise.withResolvers<string | undefined>()
  const timer = setTimeout(resolve, TIMEOUT_MS, undefined)
  const socket = tls.connect({ host, port: Number(port || 443), ...(isName(host) && { servername: host }) })
  socket.on('error', error => resolve(FAULTS.find(([alert]) => alert.test(String(error.message)))?.[1]))
  socket.on('close', () => resolve(undefined))
  return promise.finally(() => {
    clearTimeout(timer)
    socket.destroy()
  })
}

const isName = (host: string): boolean => !/^[\d.]+$|:/.test(host)

const FAULTS: readonly [alert: RegExp, reason: string][] = [
  [/CERTIFICATE_REQUIRED|BAD_CERTIFICATE/, 'it wants a client certificate, which atlas cannot show'],
  [/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/, 'it speaks only versions of TLS that are older than 1.2'],
  [
    /HANDSHAKE_FAILURE|INSUFFICIENT_SECURITY|NO_SHARED_CIPHER/,
    'it ended the handshake, as for want of a client certificate, which atlas cannot show, or of a cipher in common',
  ],
]
