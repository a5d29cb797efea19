import type { Environment } from '../config/load.ts'
import { isLoopback } from '../config/server.ts'
import { usageError } from '../errors.ts'

/** The variable in force for a server, whatever it says. */
export const proxyVariable = ({ protocol }: URL, env: Environment): string | undefined =>
  [`${protocol.slice(0, -1)}_proxy`, 'all_proxy']
    .flatMap(name => [name, name.toUpperCase()])
    .find(name => env[name])

/**
 * The proxy for a server; none for this machine, nor for what NO_PROXY names. Without a scheme, http is meant.
 * @throws {AtlasError} `usage`: the value, which may hold a password and is not repeated, cannot be used.
 */
export function proxyFor(server: URL, env: Environment): URL | undefined {
  const from = proxyVariable(server, env)
  if (from === undefined || isLoopback(server.hostname) || isException(server, env)) return undefined
  const value = env[from] ?? ''
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(value)?.[1]?.toLowerCase()
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https')
    throw usageError(
      `${from} names a ${scheme} proxy, which atlas does not support.`,
      'Name an http or https proxy, such as http://proxy.example.com:3128, or unset it.',
    )
  const url = URL.parse(scheme === undefined ? `http://${value.replace(/^\/\//, '')}` : value)
  if (url === null)
    throw usageError(
      `${from} is not the URL of a proxy.`,
      'Give one such as http://proxy.example.com:3128, or unset it.',
    )
  return url
}

/** The value of NO_PROXY, in either case. */
export const proxyExceptions = (env: Environment): string => env['no_proxy'] || env['NO_PROXY'] || ''

/**
 * Whether NO_PROXY names a server: host names with the names below them, addresses, each with or without a port, or `*`
 * for all.
 */
function isException({ hostname, port, protocol }: URL, env: Environment): boolean {
  const used = port || (protocol === 'https:' ? '443' : '80')
  return proxyExceptions(env)
    .toLowerCase()
    .split(/[\s,]+/)
    .some(entry => {
      const [, name = '', only] =
        /^(\[.*\]|[^:]*|.*:.*:.*?)(?::(\d+))?$/.exec(entry.replace(/^\*?\./, '')) ?? []
      const host = hostname.replace(/^\[|\]$/g, '')
      const named = name.replace(/^\[|\]$/g, '')
      const isNamed = named === '*' || host === named || (named !== '' && host.endsWith(`.${named}`))
      return isNamed && (only === undefined || only === used)
    })
}
