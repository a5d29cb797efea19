import fs from 'node:fs'
import type { Config, Environment } from '../../config/load.ts'
import { proxyFor, proxyVariable } from '../../http/proxy.ts'
import { type Finding, failedBy, ok, warn } from './finding.ts'

/** Which proxy and which certificate authorities are in force for the configured server. */
export function checkProxy(config: Config, env: Environment): Finding {
  const server = new URL(config.apiUrl.value)
  const variable = proxyVariable(server, env)
  const authorities = env['NODE_EXTRA_CA_CERTS']
  if (authorities && !isReadable(authorities))
    return warn(
      `NODE_EXTRA_CA_CERTS names ${authorities}, which cannot be read.`,
      'Correct the path, or unset it.',
    )
  const more = authorities
    ? [`Certificate authorities also come from ${authorities} (NODE_EXTRA_CA_CERTS).`]
    : []
  if (variable === undefined) return ok('No proxy is used.', ...more)
  const exceptions = env['no_proxy'] || env['NO_PROXY'] ? '; NO_PROXY names exceptions' : ''
  try {
    const url = proxyFor(server, env)
    if (url === undefined) return ok(`${variable} is set, but is not used for this machine.`, ...more)
    return ok(`${url.protocol}//${url.host} is used (${variable}${exceptions}).`, ...more)
  } catch (error) {
    return { ...failedBy(error), more }
  }
}

function isReadable(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.R_OK)
    return true
  } catch {
    return false
  }
}
