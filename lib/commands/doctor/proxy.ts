import fs from 'node:fs'
import type { Config, Environment } from '../../config/load.ts'
import { proxyFor, proxyVariable } from '../../http/proxy.ts'
import type { Run } from '../../run.ts'
import { type Finding, failedBy, ok, warn } from './finding.ts'

/** Which proxy and which certificate authorities are used for the configured server. */
export function checkProxy({ config, env }: Run): Finding {
  const authorities = env['NODE_EXTRA_CA_CERTS']
  const finding = judgeProxy(config, env)
  if (!authorities) return finding
  try {
    fs.accessSync(authorities, fs.constants.R_OK)
  } catch {
    const said = `NODE_EXTRA_CA_CERTS names ${authorities}, which cannot be read.`
    return warn(said, 'Correct the path, or unset it.')
  }
  const said = `Certificate authorities also come from ${authorities} (NODE_EXTRA_CA_CERTS).`
  return { ...finding, detail: [...finding.detail, said] }
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
