import type { Config, Environment } from '../../config/load.ts'
import { faultOf } from '../../files/faults.ts'
import { readRegularFile } from '../../files/private.ts'
import { proxyFor, proxyVariable } from '../../http/proxy.ts'
import type { Run } from '../../run.ts'
import { type Finding, failedBy, ok, warn } from './finding.ts'

const MAX_AUTHORITIES_BYTES = 16 * 1024 * 1024

/** Which proxy and which certificate authorities are used for the configured server. */
export function checkProxy({ config, env }: Run): Finding {
  const authorities = env['NODE_EXTRA_CA_CERTS']
  const finding = judgeProxy(config, env)
  if (!authorities || finding.status === 'fail') return finding
  const fault = faultIn(authorities)
  if (fault !== undefined)
    return warn(`NODE_EXTRA_CA_CERTS names ${authorities}, which ${fault}.`, 'Correct the path, or unset it.')
  const said = `Certificate authorities also come from ${authorities} (NODE_EXTRA_CA_CERTS).`
  return { ...finding, detail: [...finding.detail, said] }
}

/** Why a file adds no certificate authorities. */
function faultIn(file: string): string | undefined {
  try {
    const found = readRegularFile(file, MAX_AUTHORITIES_BYTES)
    if (found?.bytes.includes('-----BEGIN')) return undefined
    return found ? 'holds no certificate' : 'does not exist'
  } catch (error) {
    return `cannot be read (${faultOf(error)?.message ?? 'it is not a file'})`
  }
}

function judgeProxy({ apiUrl }: Config, env: Environment): Finding {
  const server = new URL(apiUrl.value)
  const variable = proxyVariable(server, env)
  if (variable === undefined) return ok('No proxy is used.')
  try {
    const proxy = proxyFor(server, env)
    if (proxy === undefined) return ok(`${variable} is set, but is not used for this machine.`)
    const exceptions = env['no_proxy'] || env['NO_PROXY'] ? '; NO_PROXY names exceptions' : ''
    return ok(`${proxy.protocol}//${proxy.host} is used (${variable}${exceptions}).`)
  } catch (error) {
    return failedBy(error)
  }
}
