import type { Environment } from '../config/load.ts'
import { isLoopback } from '../config/server.ts'
import { usageError } from '../errors.ts'

/** The variable in force for a server, whatever it says. */
export const proxyVariable = ({ protocol }: URL, env: Environment): string | undefined =>
  [`${protocol.slice(0, -1)}_proxy`, 'all_proxy']
    .flatMap(name => [name, name.toUpperCase()])
    .find(name => env[name])

/**
 * The proxy for a server; none for this machine. The runtime applies NO_PROXY. Without a scheme, http is meant.
 * @throws {AtlasError} `usage`: the value, which may hold a password and is not repeated, cannot be used.
 */
export function proxyFor(server: URL, env: Environment): URL | undefined {
  const from = proxyVariable(server, env)
  if (from === undefined || isLoopback(server.hostname)) return undefined
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
