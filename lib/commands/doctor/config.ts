import { requireSecure } from '../../config/server.ts'
import { describeSettings } from '../../config/settings.ts'
import { writeFault } from '../../files/private.ts'
import type { Run } from '../../run.ts'
import { type Finding, fail, failedBy, ok } from './finding.ts'

export function checkConfig({ config }: Run): Finding {
  const finding = judge(config)
  const settings = describeSettings(config).map(({ name, value, from }) => `${name} ${value} (${from})`)
  return { ...finding, detail: [...finding.detail, ...settings] }
}

function judge({ apiUrl, allowHttp, folder }: Run['config']): Finding {
  try {
    requireSecure(new URL(apiUrl.value), allowHttp.value)
  } catch (error) {
    return failedBy(error)
  }
  const fault = writeFault(folder.value)
  if (fault === undefined) return ok('It can be used.')
  return fail(
    `The config folder ${folder.value} cannot be written (${fault}), so a login cannot be remembered.`,
    'Fix its permissions, or choose another folder with ATLAS_CONFIG_DIR.',
  )
}
