// Installs the packages when they are missing or older than the lock file, so
// that any npm script can be the first command after a clone.
import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'

const modifiedAt = path => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
const installed = modifiedAt('node_modules/.package-lock.json')

const run = (command, args, cwd = '.') => {
  const { status } = spawnSync(command, args, {
    cwd,
    stdio: ['ignore', 'inherit', 'inherit'],
    shell: process.platform === 'win32',
  })
  if (status !== 0) process.exit(status ?? 1)
}

if (installed === 0 || installed < modifiedAt('package-lock.json')) {
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'])
  // .npmrc switches the install scripts of packages off. Bun's alone is needed: it puts the runtime in place.
  run('node', ['install.js'], 'node_modules/bun')
}
