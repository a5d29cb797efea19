import { beforeEach, describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import path from 'node:path'
import { certificateTest, createAuthority } from '../support/certificates.ts'
import {
  archiveOf,
  type InstallStage,
  installStage,
  installTest,
  installTools,
} from '../support/install-stage.ts'
import { testWithTools } from '../support/needs.ts'

let stage: InstallStage
beforeEach(() => {
  stage = installStage()
  return () => stage[Symbol.dispose]()
})

const linuxTest = process.platform === 'linux' ? test : (test.skip as typeof test)

/** A folder with all that the script uses, but curl and sha256sum. */
const toolsBut = (...others: [name: string, file: string][]): string =>
  installTools(path.join(stage.home, 'tools'), {
    shasum: Bun.which('shasum'),
    perl: Bun.which('perl'),
    ...Object.fromEntries(others),
  })
const wgetTest = testWithTools('wget', 'shasum', 'perl')
const withWget = () => ({ PATH: toolsBut(['wget', Bun.which('wget') ?? '']) })

wgetTest('install.sh: does without curl and sha256sum where wget and shasum are', async () => {
  stage.publish('9.0.0')
  const { status, stderr } = await stage.install('9.0.0', { env: withWget() })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  expect(stage.runInstalled()).toBe('atlas/9.0.0 test\n')
})

const OLD_TOOLS = {
  'BusyBox, which follows redirects to plain http and does not check certificates':
    'echo "BusyBox v1.35.0 () multi-call binary." >&2; exit 1',
  'Wget2, for which no redirects at most means any number': 'echo "GNU Wget2 2.1.0 - multithreaded"',
}
for (const [what, body] of Object.entries(OLD_TOOLS)) {
  installTest(`install.sh: does not download with the wget of ${what}`, async () => {
    stage.publish('9.0.0')
    const wget = path.join(stage.home, 'wget')
    fs.writeFileSync(wget, `#!/bin/sh\n${body}\n`, { mode: 0o755 })
    const { status, stderr } = await stage.install('9.0.0', { env: { PATH: toolsBut(['wget', wget]) } })
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: 'install.sh: neither curl nor GNU Wget 1 is here.\n            Install curl and try again.\n',
    })
  })
}

describe('install.sh redirects', () => {
  installTest('follows one on this machine, absolute or relative', async () => {
    stage.publish('9.0.0')
    const { name } = archiveOf('9.0.0')
    stage.files.set(`/moved/${name}`, stage.files.get(`/${name}`) ?? '')
    stage.redirects.set(`/${name}`, `${stage.url}relative`)
    stage.redirects.set('/relative', `moved/${name}`)
    expect(await stage.install('9.0.0')).toMatchObject({ status: 0, stderr: '' })
    expect(stage.asked).toEqual(['/SHA256SUMS', '/SHA256SUMS.sig', `/${name}`, '/relative', `/moved/${name}`])
    expect(stage.runInstalled()).toBe('atlas/9.0.0 test\n')
  })

  linuxTest('asks no other machine by plain http', async () => {
    using elsewhere = installStage({ hostname: '127.0.0.2' })
    stage.publish('9.0.0')
    elsewhere.publish('9.0.0')
    for (const file of stage.files.keys()) stage.redirects.set(file, `${elsewhere.url}${file.slice(1)}`)
    expect(await stage.install('9.0.0')).toEqual({
      status: 1,
      stdout: `Downloading ${stage.url}${archiveOf('9.0.0').name}\n`,
      stderr:
        `install.sh: ${stage.url}SHA256SUMS redirects to plain http or to an invalid URL.\n` +
        '            Report it. Nothing was installed.\n',
    })
    expect(elsewhere.asked).toEqual([])
    expect(stage.left()).toEqual([])
  })

  const REFUSED = [
    'http://atlas.example.com/SHA256SUMS',
    '//atlas.example.com/SHA256SUMS',
    'http://localhost.example.com/SHA256SUMS',
    'http://127.0.0.1@atlas.example.com/SHA256SUMS',
    'http://localhost:80@atlas.example.com/SHA256SUMS',
    'ftp://127.0.0.1/SHA256SUMS',
    'file:///etc/hostname',
  ]
  for (const location of REFUSED) {
    installTest(`does not follow one to ${location}`, async () => {
      stage.publish('9.0.0')
      stage.redirects.set('/SHA256SUMS', location)
      const { status, stderr } = await stage.install('9.0.0')
      expect({ status, says: stderr.split('\n')[0] }).toEqual({
        status: 1,
        says: `install.sh: ${stage.url}SHA256SUMS redirects to plain http or to an invalid URL.`,
      })
      expect({ asked: stage.asked, left: stage.left() }).toEqual({ asked: ['/SHA256SUMS'], left: [] })
    })
  }

  installTest('gives up where they do not end', async () => {
    stage.redirects.set('/SHA256SUMS', '/SHA256SUMS')
    const { status, stderr } = await stage.install('9.0.0')
    expect({ status, says: stderr.split('\n')[0] }).toEqual({
      status: 1,
      says: `install.sh: ${stage.url}SHA256SUMS redirects more than five times.`,
    })
    expect(stage.asked).toHaveLength(6)
  })

  installTest('takes the answer 200 alone for a file', async () => {
    stage.publish('9.0.0')
    const odd = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response('', { status: 300 }) })
    const { status, stderr } = await stage.install('9.0.0', {
      env: { ATLAS_INSTALL_BASE_URL: odd.url.href },
    })
    await odd.stop(true)
    expect({ status, says: stderr.split('\n')[0] }).toEqual({
      status: 1,
      says: 'install.sh: the download failed.',
    })
  })

  wgetTest('are followed with wget too, step by step', async () => {
    stage.publish('9.0.0')
    for (const [file, content] of [...stage.files]) {
      stage.files.set(`/moved${file}`, content)
      stage.files.delete(file)
      stage.redirects.set(file, `${stage.url}next${file}`)
      stage.redirects.set(`/next${file}`, `/moved${file}`)
    }
    const { status, stderr } = await stage.install('9.0.0', { env: withWget() })
    expect({ status, stderr, installed: stage.runInstalled() }).toEqual({
      status: 0,
      stderr: '',
      installed: 'atlas/9.0.0 test\n',
    })
  })

  wgetTest('to plain http elsewhere are not followed with wget', async () => {
    stage.redirects.set('/SHA256SUMS', 'http://192.0.2.1/SHA256SUMS')
    const { status, stderr } = await stage.install('9.0.0', { env: withWget() })
    expect({ status, says: stderr.split('\n')[0] }).toEqual({
      status: 1,
      says: `install.sh: ${stage.url}SHA256SUMS redirects to plain http or to an invalid URL.`,
    })
  })

  certificateTest(
    'https: follows one to https, and none to plain http, on this machine neither',
    async () => {
      using authority = createAuthority()
      using safe = installStage({ tls: authority.issue() })
      using moved = installStage({ tls: authority.issue() })
      const env = { CURL_CA_BUNDLE: authority.file }
      moved.publish('9.0.0')
      stage.publish('9.0.0')
      for (const file of moved.files.keys()) safe.redirects.set(file, `${moved.url}${file.slice(1)}`)
      safe.files.set('/SHA256SUMS.sig', safe.key.sign(moved.files.get('/SHA256SUMS') ?? ''))
      expect(await safe.install('9.0.0', { env })).toMatchObject({ status: 0, stderr: '' })
      expect(safe.runInstalled()).toBe('atlas/9.0.0 test\n')

      for (const file of moved.files.keys()) moved.redirects.set(file, `${stage.url}${file.slice(1)}`)
      const { status, stderr } = await safe.install('9.0.0', { env })
      expect({ status, says: stderr.split('\n')[0], asked: stage.asked }).toEqual({
        status: 1,
        says: `install.sh: ${moved.url}SHA256SUMS redirects to plain http or to an invalid URL.`,
        asked: [],
      })
    },
  )
})

/** What else could be asked in place of the server: a proxy that says yes to everything. */
function startProxy(): Bun.Server<undefined> & { asked: string[] } {
  const asked: string[] = []
  const server = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch({ url }) {
      asked.push(url)
      return new Response('from the proxy')
    },
  })
  return Object.assign(server, { asked })
}

describe.each([
  ['curl', installTest, () => ({})],
  ['wget', wgetTest, withWget],
] as const)('install.sh with %s', (_, toolTest, tools) => {
  toolTest('reads no configuration file of the user', async () => {
    stage.publish('9.0.0')
    const proxy = startProxy()
    const settings = path.join(stage.home, 'settings')
    fs.mkdirSync(settings)
    for (const folder of [stage.home, settings]) {
      fs.writeFileSync(path.join(folder, '.curlrc'), `proxy = "${proxy.url.href}"\ninsecure\nlocation\n`)
      fs.writeFileSync(path.join(folder, '.wgetrc'), `http_proxy = ${proxy.url.href}\nuse_proxy = on\n`)
    }
    const wgetrc = path.join(settings, '.wgetrc')
    const { status, stderr } = await stage.install('9.0.0', {
      env: {
        CURL_HOME: settings,
        XDG_CONFIG_HOME: settings,
        WGETRC: wgetrc,
        SYSTEM_WGETRC: wgetrc,
        ...tools(),
      },
    })
    await proxy.stop(true)
    expect({ status, stderr, asked: proxy.asked }).toEqual({ status: 0, stderr: '', asked: [] })
  })

  toolTest('asks this machine without a proxy, which would be another one by plain http', async () => {
    stage.publish('9.0.0')
    const proxy = startProxy()
    const names = ['http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY', 'https_proxy']
    const { status, stderr } = await stage.install('9.0.0', {
      env: { ...Object.fromEntries(names.map(name => [name, proxy.url.href])), ...tools() },
    })
    await proxy.stop(true)
    expect({ status, stderr, asked: proxy.asked }).toEqual({ status: 0, stderr: '', asked: [] })
  })

  certificateTest('does not talk to a server whose certificate nobody vouches for', async () => {
    using authority = createAuthority()
    using server = installStage({ tls: authority.selfSigned() })
    server.publish('9.0.0')
    fs.writeFileSync(path.join(server.home, '.curlrc'), 'insecure\n')
    fs.writeFileSync(path.join(server.home, '.wgetrc'), 'check_certificate = off\n')
    const { status, stderr } = await server.install('9.0.0', { env: tools() })
    expect({ status, failed: stderr.includes('the download failed'), asked: server.asked }).toEqual({
      status: 1,
      failed: true,
      asked: [],
    })
    expect(server.left()).toEqual(['.curlrc 644', '.wgetrc 644'])
  })
})
