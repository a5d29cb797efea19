import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox, readUntil } from '../support/binary.ts'
import {
  type Authority,
  type Certificate,
  certificateTest,
  createAuthority,
} from '../support/certificates.ts'
import { startConnectProxy } from '../support/connect-proxy.ts'
import { listening } from '../support/listening.ts'
import { startTlsFront } from '../support/tls-front.ts'

const UNKNOWN = 'its certificate comes from an unknown authority'
/** A name that no resolver knows (RFC 2606): only a proxy can lead there. */
const DISTANT = 'atlas.invalid'

const SYSTEM_BUNDLE = '/etc/ssl/certs/ca-certificates.crt'
const mayMount =
  Bun.which('unshare') !== null &&
  Bun.spawnSync(['unshare', '--mount', 'mount', '--bind', SYSTEM_BUNDLE, SYSTEM_BUNDLE]).exitCode === 0
/** Skipped in CI too: containers often lack the right to mount, and not everybody has Debian's certificates. */
const mountTest = mayMount ? certificateTest : (test.skip as typeof test)

/** Log in and ask who is logged in, over TLS. */
async function visit(certificate: Certificate, env: Record<string, string>) {
  await using server = await startAtlasServer()
  await using front = await startTlsFront(server, certificate)
  using sandbox = createSandbox({
    ATLAS_CREDENTIAL_STORE: 'file',
    ATLAS_API_URL: `https://localhost:${front.port}`,
    ...env,
  })
  const login = await sandbox.logIn(server, { env: { ATLAS_API_URL: `https://localhost:${front.port}` } })
  const status = await sandbox.run(['auth', 'status', '--json'])
  return {
    login: login.status,
    state: JSON.parse(status.stdout).state,
    said: /No trusted connection to \S+: (.*)\.$/m.exec(login.stderr)?.[1] ?? null,
    requests: server.requests.length,
  }
}

const WELCOME = { login: 0, state: 'authenticated', said: null, requests: 3 }
const refused = (said: string) => ({ login: 5, state: 'not_logged_in', said, requests: 0 })

/** A folder of certificates as OpenSSL looks them up: by the hash of their subject. */
function hashedFolder({ file }: Authority): string {
  const folder = fs.mkdtempSync(path.join(path.dirname(file), 'certs-'))
  const hash = Bun.spawnSync(['openssl', 'x509', '-hash', '-noout', '-in', file]).stdout.toString().trim()
  fs.copyFileSync(file, path.join(folder, `${hash}.0`))
  return folder
}

describe('a certificate of a company’s own authority', () => {
  certificateTest('certificates: an unknown authority is refused, and nothing is sent', async () => {
    using authority = createAuthority()
    expect(await visit(authority.issue(), {})).toEqual(refused(UNKNOWN))
  })

  const TRUST: [how: string, env: (authority: Authority) => Record<string, string>][] = [
    ['NODE_EXTRA_CA_CERTS', ({ file }) => ({ NODE_EXTRA_CA_CERTS: file })],
    ['SSL_CERT_FILE', ({ file }) => ({ SSL_CERT_FILE: file })],
    ['SSL_CERT_DIR', authority => ({ SSL_CERT_DIR: hashedFolder(authority) })],
  ]
  certificateTest.each(TRUST)('certificates: %s adds an authority', async (_, env) => {
    using authority = createAuthority()
    expect(await visit(authority.issue(), env(authority))).toEqual(WELCOME)
  })

  mountTest('certificates: an authority installed in the system is trusted', async () => {
    using authority = createAuthority()
    await using server = await startAtlasServer()
    await using front = await startTlsFront(server, authority.issue())
    using sandbox = createSandbox({ ATLAS_ACCESS_TOKEN: 'any' })
    // In a view of the file system that this one process has to itself.
    const run = (prepare: string) =>
      sandbox.run(['doctor', '--json'], {
        via: ['unshare', '--mount', 'sh', '-c', `${prepare} && exec "$0" "$@"`],
        env: { ATLAS_API_URL: `https://localhost:${front.port}/api/v1` },
      })
    const tls = (stdout: string) =>
      JSON.parse(stdout).checks.find(({ name }: { name: string }) => name === 'tls').status
    const without = await run('true')
    const within = await run(`mount --bind '${authority.file}' ${SYSTEM_BUNDLE}`)
    expect({ without: tls(without.stdout), within: tls(within.stdout) }).toEqual({
      without: 'fail',
      within: 'ok',
    })
  })
})

describe('certificates that trust in the authority does not save', () => {
  const FAULTS: [what: string, issue: (authority: Authority) => Certificate, said: string][] = [
    [
      'a certificate that has expired',
      ca => ca.issue({ expired: true }),
      'its certificate, or that of the authority behind it, has expired',
    ],
    [
      'a certificate for another host',
      ca => ca.issue({ host: 'DNS:elsewhere.example' }),
      'its certificate is for another host',
    ],
    ['a certificate that vouches for itself', ca => ca.selfSigned(), 'its certificate is self-signed'],
  ]
  certificateTest.each(FAULTS)(
    'certificates: %s is refused even from a trusted authority',
    async (_, issue, said) => {
      using authority = createAuthority()
      const trusted = { NODE_EXTRA_CA_CERTS: authority.file }
      expect(await visit(issue(authority), trusted)).toEqual(refused(said))
      expect(await visit(issue(authority), { ...trusted, NODE_TLS_REJECT_UNAUTHORIZED: '0' })).toEqual(
        refused(said),
      )
    },
  )
})

describe('variables of the runtime', () => {
  certificateTest('certificates: NODE_TLS_REJECT_UNAUTHORIZED=0 is ignored', async () => {
    using authority = createAuthority()
    expect(await visit(authority.issue(), { NODE_TLS_REJECT_UNAUTHORIZED: '0' })).toEqual(refused(UNKNOWN))
  })

  const BROKEN: [what: string, content: string | undefined][] = [
    ['is missing', undefined],
    ['holds no certificate', 'nonsense'],
  ]
  certificateTest.each(BROKEN)(
    'certificates: NODE_EXTRA_CA_CERTS whose file %s is reported',
    async (_, content) => {
      using authority = createAuthority()
      await using server = await startAtlasServer()
      await using front = await startTlsFront(server, authority.issue())
      using sandbox = createSandbox({ ATLAS_ACCESS_TOKEN: 'any' })
      const file = path.join(sandbox.home, 'authorities.pem')
      if (content !== undefined) fs.writeFileSync(file, content)
      const { status, stderr } = await sandbox.run(['api', '/auth/me'], {
        env: { NODE_EXTRA_CA_CERTS: file, ATLAS_API_URL: `https://localhost:${front.port}` },
      })
      expect({ status, named: stderr.includes(file), requests: server.requests.length }).toEqual({
        status: 5,
        named: true,
        requests: 0,
      })
      expect(stderr.split('\n').at(-2)).toBe(
        `       NODE_EXTRA_CA_CERTS names ${file}, which ${content === undefined ? 'does not exist' : 'holds no certificate'}. Correct the path.`,
      )
    },
  )
})

describe('a server that ends every handshake', () => {
  const WANTS: [what: string, options: string[], said: string][] = [
    [
      'a client certificate, by TLS 1.3',
      ['-Verify', '1', '-tls1_3'],
      'it wants a client certificate, which atlas cannot show',
    ],
    [
      'a client certificate, by TLS 1.2',
      ['-Verify', '1', '-tls1_2'],
      'it ended the handshake, as for want of a client certificate, which atlas cannot show, or of a cipher in common',
    ],
    [
      'an old version of TLS',
      ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'],
      'it speaks only versions of TLS that are older than 1.2',
    ],
  ]
  certificateTest.each(WANTS)('certificates: one that wants %s is called so', async (_, options, said) => {
    using authority = createAuthority()
    const { key, cert } = authority.issue()
    using sandbox = createSandbox({ ATLAS_ACCESS_TOKEN: 'any', NODE_EXTRA_CA_CERTS: authority.file })
    for (const [name, text] of Object.entries({ key, cert }))
      fs.writeFileSync(path.join(sandbox.cwd, name), text)
    const free = await listening(net.createServer())
    const { port } = free
    await free[Symbol.asyncDispose]()
    const server = Bun.spawn(
      ['openssl', 's_server', '-accept', String(port), '-key', 'key', '-cert', 'cert', '-www', ...options],
      { cwd: sandbox.cwd, stdin: 'ignore', stdout: 'pipe', stderr: 'ignore' },
    )
    try {
      await readUntil(server.stdout, /ACCEPT/)
      const { status, stderr } = await sandbox.run(['api', '/x'], {
        env: { ATLAS_API_URL: `https://localhost:${port}/api/v1` },
      })
      expect({ status, stderr }).toEqual({
        status: 5,
        stderr: `atlas: No trusted connection to https://localhost:${port}: ${said}.\n       Ask the server’s administrator.\n`,
      })
    } finally {
      server.kill('SIGKILL')
      await server.exited
    }
  })
})

describe('through a proxy', () => {
  /** Log in to a server that only the proxy can reach. */
  async function throughProxy(
    certificate: Certificate,
    trusted: Authority,
    { refuseWith, userinfo = '' }: { refuseWith?: number; userinfo?: string } = {},
  ) {
    await using server = await startAtlasServer()
    await using front = await startTlsFront(server, certificate)
    await using proxy = await startConnectProxy(front.port, refuseWith)
    using sandbox = createSandbox({
      ATLAS_CREDENTIAL_STORE: 'file',
      NODE_EXTRA_CA_CERTS: trusted.file,
      HTTPS_PROXY: `http://${userinfo}127.0.0.1:${proxy.port}`,
      ATLAS_TIMEOUT: '10',
    })
    const env = { ATLAS_API_URL: `https://${DISTANT}/api/v1` }
    const { status, stderr } = await sandbox.logIn(server, { env: { ...env, ATLAS_DEBUG: '1' } })
    const doctor = await sandbox.run(['doctor'], { env })
    return {
      status,
      output: stderr + doctor.stdout + doctor.stderr,
      asked: [...new Set(proxy.asked)],
      secrets: ['authorization', 'cookie'].filter(name => proxy.headers.has(name)),
      logins: server.log().filter(line => line === 'POST /api/v1/auth/login').length,
    }
  }

  certificateTest('proxy: requests go through a tunnel that it cannot read', async () => {
    using authority = createAuthority()
    const { output, ...outcome } = await throughProxy(
      authority.issue({ host: `DNS:${DISTANT}` }),
      authority,
      {
        userinfo: 'ada:hunter2@',
      },
    )
    expect(outcome).toEqual({ status: 0, asked: [`CONNECT ${DISTANT}:443`], secrets: [], logins: 1 })
    // The proxy’s password is nobody’s business either.
    expect(output).toContain('(HTTPS_PROXY)')
    expect(output).not.toContain('hunter2')
  })

  certificateTest('proxy: the certificate of the server is still verified', async () => {
    using authority = createAuthority()
    using stranger = createAuthority()
    const { status, output, logins } = await throughProxy(
      stranger.issue({ host: `DNS:${DISTANT}` }),
      authority,
    )
    expect({ status, logins }).toEqual({ status: 5, logins: 0 })
    expect(output).toContain(`No trusted connection to https://${DISTANT}: ${UNKNOWN}.`)
  })

  certificateTest.each([403, 407, 502])('proxy: a refusal with %d is a network error', async refuseWith => {
    using authority = createAuthority()
    const certificate = authority.issue({ host: `DNS:${DISTANT}` })
    const { status, output, logins } = await throughProxy(certificate, authority, { refuseWith })
    expect({ status, logins }).toEqual({ status: 5, logins: 0 })
    const reason =
      refuseWith === 407
        ? `, on the way to https://${DISTANT}, wants a user and password (407).`
        : ` does not lead to https://${DISTANT} (${refuseWith}).`
    expect(output).toMatch(/The proxy http:\/\/127\.0\.0\.1:\d+/)
    expect(output).toContain(reason)
  })
})
