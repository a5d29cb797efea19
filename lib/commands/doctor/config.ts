import type { Config } from '../../config/load.ts'
import { requireSecure } from '../../config/server.ts'
import { describeSettings } from '../../config/settings.ts'
import { writeFault } from '../../files/private.ts'
import { type Finding, fail, failedBy, ok } from './finding.ts'

export function checkConfig(config: Config): Finding {
  const { apiUrl, allowHttp, folder } = config
  const more = describeSettings(config).map(({ name, value, from }) => `${name} ${value} (${from})`)
  try {
    requireSecure(new URL(apiUrl.value), allowHttp.value)
  } catch (error) {
    return { ...failedBy(error), more }
  }
  const fault = writeFault(folder.value)
  if (fault === undefined) return ok('It can be used.', ...more)
  const unwritable = fail(
    `The config folder ${folder.value} cannot be written (${fault}), so a login cannot be remembered.`,
    'Fix its permissions, or choose another folder with ATLAS_CONFIG_DIR.',
  )
  return { ...unwritable, more }
}
