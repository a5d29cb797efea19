import { loadersIn } from '../../debugger.ts'
import { VERSION } from '../../version.ts'
import { type Finding, ok, warn } from './finding.ts'

export function checkVersion(env: Readonly<Record<string, string | undefined>>): Finding {
  const said = `atlas ${VERSION} on ${process.platform}-${process.arch}`
  const loaders = loadersIn(env).join(' and ')
  if (loaders === '') return ok(said)
  return warn(
    `${said}; ${loaders} can load other code into it, which could read credentials.`,
    'Unset what you did not set yourself.',
  )
}
