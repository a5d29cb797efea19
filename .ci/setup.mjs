// Installs the packages when they are missing or older than the lock file, so
// that any npm script can be the first command after a clone.
import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'

const modifiedAt = path => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
const installed = modifiedAt('node_modules/.package-lock.json')

if (installed === 0 || installed < modifiedAt('package-lock.json')) {
  const { status } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  })
  process.exit(status ?? 1)
}
