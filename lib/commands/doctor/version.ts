import type { Environment } from '../../config/load.ts'
import { loadersIn } from '../../debugger.ts'
import { VERSION } from '../../version.ts'
import { type Finding, ok, warn } from './finding.ts'

export function checkVersion(env: Environment): Finding {
  const said = `atlas ${VERSION} on ${process.platform}-${process.arch}`
  const loaders = loadersIn(env).join(' and ')
  return loaders === ''
    ? ok(said)
    : warn(
        `${said}; ${loaders} can load other code into it, which could read credentials.`,
        'Unset what you did not set yourself.',
      )
}
