import type { Environment } from '../config/load.ts'
import { isLoopback } from '../config/server.ts'
import { AtlasError } from '../errors.ts'

/** The variable in force for a server, whatever it says. */
export function proxyVariable({ protocol }: URL, env: Environment): string | undefined {
  const names =
    protocol === 'https:'
      ? ['https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY']
      : ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY']
  return names.find(name => env[name])
}

/**
 * The proxy that requests to a server go through, unless NO_PROXY, which the runtime sees to, excepts it; none
 * for this machine. A value without a scheme means http.
 * @throws {AtlasError} `usage`: the variable names none that atlas can use. Its value, which may hold a
 * password, is not repeated.
 */
export function proxyFor(server: URL, env: Environment): URL | undefined {
  const from = proxyVariable(server, env)
  if (from === undefined || isLoopback(server.hostname)) return undefined
  const value = env[from] ?? ''
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(value)?.[1]?.toLowerCase()
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https')
    throw new AtlasError(
      'usage',
      `${from} names a ${scheme} proxy, which atlas does not speak.`,
      'Name an http or https proxy, such as http://proxy.example.com:3128, or unset it.',
    )
  const url = URL.parse(scheme === undefined ? `http://${value.replace(/^\/\//, '')}` : value)
  if (url === null)
    throw new AtlasError(
      'usage',
      `${from} is not the URL of a proxy.`,
      'Give one such as http://proxy.example.com:3128, or unset it.',
    )
  return url
}
