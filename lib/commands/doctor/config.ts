import fs from 'node:fs'
import { requireSecure } from '../../config/server.ts'
import { describeSettings } from '../../config/settings.ts'
import { recoverable } from '../../errors.ts'
import { writeFault } from '../../files/private.ts'
import type { Run } from '../../run.ts'
import { type Finding, failedBy, ok } from './finding.ts'

export async function checkConfig({ config, configFile }: Run): Promise<Finding> {
  const finding = await judge(config, configFile)
  const settings = describeSettings(config).map(({ name, value, from }) => `${name} ${value} (${from})`)
  return { ...finding, detail: [...finding.detail, ...settings] }
}

async function judge(
  { apiUrl, allowHttp, folder }: Run['config'],
  configFile: Run['configFile'],
): Promise<Finding> {
  try {
    requireSecure(new URL(apiUrl.value), allowHttp.value)
  } catch (error) {
    return failedBy(error)
  }
  const fault = writeFault(folder.value)
  if (fault !== undefined) {
    const failure = `The config folder ${folder.value} cannot be written, so a login cannot be remembered`
    return failedBy(fault.toError('file_error', failure, 'ATLAS_CONFIG_DIR'))
  }
  // A report makes no folder.
  const failure = fs.existsSync(folder.value) ? await configFile.prove().catch(recoverable) : undefined
  // What is wrong with the lock is said by the check of that name.
  return failure?.code === 'file_error' ? failedBy(failure) : ok('It can be used.')
}
