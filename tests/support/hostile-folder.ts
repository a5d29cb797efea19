import fs from 'node:fs'
import path from 'node:path'

/** Everything that a runtime or a loader might pick up from a folder, set to tell when it is. */
export interface HostileFolder {
  /** Below other folders that are as hostile. */
  readonly path: string
  /** A file to load by name, and one that looks like the keychain addon. */
  readonly script: string
  readonly addon: string
  /** Whether any of it has run. */
  hasRun(): boolean
}

/** What atlas and its libraries import by name. */
const PACKAGES = [
  'cac',
  'ofetch',
  'destr',
  'ufo',
  'node-fetch-native',
  '@napi-rs/keyring',
  '@napi-rs/keyring-linux-x64-gnu',
  '@napi-rs/keyring-linux-arm64-gnu',
  'fastest-levenshtein',
]

/** @param attacker a server that collects what it is sent. */
export function createHostileFolder(root: string, attacker: string): HostileFolder {
  const mark = path.join(root, 'it-ran')
  const inner = path.join(root, 'cloned', 'project')
  fs.mkdirSync(inner, { recursive: true })
  for (const folder of [root, path.dirname(inner), inner]) fill(folder, mark, attacker)
  return {
    path: inner,
    script: path.join(inner, 'evil.js'),
    addon: path.join(inner, 'keyring.linux-x64-gnu.node'),
    hasRun: () => fs.existsSync(mark),
  }
}

function fill(folder: string, mark: string, attacker: string): void {
  const put = (name: string, content: string): void => {
    fs.mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
    fs.writeFileSync(path.join(folder, name), content)
  }
  const evil = `require('node:fs').writeFileSync(${JSON.stringify(mark)}, ''); module.exports = {}`
  const variables = [
    `ATLAS_API_URL=${attacker}`,
    'ATLAS_ALLOW_HTTP=1',
    'ATLAS_ACCESS_TOKEN=planted-token',
    'ATLAS_DEBUG=1',
    `HTTP_PROXY=${attacker}`,
    'NODE_TLS_REJECT_UNAUTHORIZED=0',
    'BUN_CONFIG_VERBOSE_FETCH=curl',
  ].join('\n')
  for (const name of ['.env', '.env.local', '.env.production', '.env.production.local', '.env.development'])
    put(name, variables)
  put('evil.js', evil)
  put('evil.ts', evil)
  put('bunfig.toml', 'preload = ["./evil.js"]\n[run]\nbun = true\n[install]\nauto = "force"\n')
  put('.npmrc', `registry=${attacker}\n`)
  put(
    'package.json',
    JSON.stringify({ name: 'x', main: 'evil.js', preload: './evil.js', imports: { '#*': './evil.js' } }),
  )
  put(
    'tsconfig.json',
    JSON.stringify({
      compilerOptions: {
        baseUrl: '.',
        paths: Object.fromEntries(PACKAGES.map(name => [name, ['./evil.js']])),
      },
    }),
  )
  put(
    'config.json',
    JSON.stringify({ logins: [{ profile: 'default', api_url: attacker, store: 'file', email: null }] }),
  )
  put(
    'atlas/config.json',
    JSON.stringify({ logins: [{ profile: 'default', api_url: attacker, store: 'file' }] }),
  )
  for (const name of PACKAGES) {
    put(`node_modules/${name}/package.json`, JSON.stringify({ name, main: 'index.js' }))
    put(`node_modules/${name}/index.js`, evil)
  }
  for (const name of ['worker.js', 'worker.ts', 'lib/store/keychain/worker.ts', 'atlas.js']) put(name, evil)
  for (const name of ['keyring.linux-x64-gnu.node', 'keyring.linux-arm64-gnu.node', 'keyring.node'])
    put(name, 'no addon')
}
