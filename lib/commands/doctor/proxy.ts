import type { Config, Environment } from '../../config/load.ts'
import { isLoopback } from '../../config/server.ts'
import { authoritiesFault, extraAuthorities } from '../../http/authorities.ts'
import { proxyExceptions, proxyFor, proxyVariable } from '../../http/proxy.ts'
import type { Run } from '../../run.ts'
import { type Finding, failedBy, ok, warn } from './finding.ts'

/** Which proxy and which certificate authorities are used for the configured server. */
export function checkProxy({ config, env }: Run): Finding {
  const authorities = extraAuthorities(env)
  const finding = judgeProxy(config, env)
  if (authorities === undefined || finding.status === 'fail') return finding
  const fault = authoritiesFault(env)
  if (fault !== undefined) return warn(`${fault}.`, 'Correct the path, or unset it.')
  const said = `Certificate authorities also come from ${authorities} (NODE_EXTRA_CA_CERTS).`
  return { ...finding, detail: [...finding.detail, said] }
}

function judgeProxy({ apiUrl }: Config, env: Environment): Finding {
  const server = new URL(apiUrl.value)
  const variable = proxyVariable(server, env)
  if (variable === undefined) return ok('No proxy is used.')
  try {
    const proxy = proxyFor(server, env)
    const exceptions = proxyExceptions(env) === '' ? '' : '; NO_PROXY names exceptions'
    if (proxy === undefined)
      return ok(
        `${variable} is set, but is not used for ${isLoopback(server.hostname) ? 'this machine' : `${server.host} (NO_PROXY)`}.`,
      )
    return ok(`${proxy.protocol}//${proxy.host} is used (${variable}${exceptions}).`)
  } catch (error) {
    return failedBy(error)
  }
}
