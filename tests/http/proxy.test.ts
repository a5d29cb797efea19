import { describe, expect, test } from 'bun:test'
import { proxyFor } from '../../lib/http/proxy.ts'
import { startAtlasServer } from '../support/atlas-server.ts'
import { createSandbox } from '../support/binary.ts'
import { startRawServer } from '../support/raw-server.ts'

const HTTPS = new URL('https://atlas.example.com')
const HTTP = new URL('http://atlas.example.com')

describe('the proxy', () => {
  const USED: [server: URL, env: Record<string, string>, proxy: string | undefined][] = [
    [HTTPS, {}, undefined],
    [HTTPS, { HTTPS_PROXY: '' }, undefined],
    [HTTPS, { HTTP_PROXY: 'http://a:1' }, undefined],
    [HTTPS, { HTTPS_PROXY: 'http://a:1', https_proxy: 'http://b:2' }, 'http://b:2/'],
    [HTTPS, { HTTPS_PROXY: 'https://a:1' }, 'https://a:1/'],
    [HTTP, { HTTP_PROXY: 'HTTP://a:1/' }, 'http://a:1/'],
    [HTTP, { HTTPS_PROXY: 'http://a:1', ALL_PROXY: 'http://b:2' }, 'http://b:2/'],
    [HTTP, { HTTP_PROXY: 'a:1' }, 'http://a:1/'],
    [HTTP, { HTTP_PROXY: '//a:1' }, 'http://a:1/'],
    [HTTP, { HTTP_PROXY: 'ada:p%40ss@a:1' }, 'http://ada:p%40ss@a:1/'],
    [new URL('http://localhost:8000'), { HTTP_PROXY: 'not a url' }, undefined],
    [new URL('https://127.0.0.1'), { HTTPS_PROXY: 'socks5://a:1' }, undefined],
    [new URL('https://a.example.com'), { HTTPS_PROXY: 'http://a:1', NO_PROXY: 'x, EXAMPLE.com' }, undefined],
    [new URL('https://a.example.com'), { HTTPS_PROXY: 'http://a:1', no_proxy: '.example.com' }, undefined],
    [new URL('https://a.example.com'), { HTTPS_PROXY: 'http://a:1', no_proxy: '*.example.com' }, undefined],
    [
      new URL('https://example.com:444'),
      { HTTPS_PROXY: 'http://a:1', no_proxy: 'example.com:444' },
      undefined,
    ],
    [new URL('https://example.com'), { HTTPS_PROXY: 'http://a:1', no_proxy: 'example.com:443' }, undefined],
    [new URL('https://[fd00::1]:444'), { HTTPS_PROXY: 'http://a:1', no_proxy: '[fd00::1]:444' }, undefined],
    [new URL('https://[fd00::1]'), { HTTPS_PROXY: 'http://a:1', no_proxy: 'fd00::1' }, undefined],
    [new URL('https://example.com'), { HTTPS_PROXY: 'http://a:1', no_proxy: '*' }, undefined],
    [
      new URL('https://example.com'),
      { HTTPS_PROXY: 'http://a:1', no_proxy: 'example.com:444' },
      'http://a:1/',
    ],
    [
      new URL('https://notexample.com'),
      { HTTPS_PROXY: 'http://a:1', no_proxy: 'example.com,' },
      'http://a:1/',
    ],
    [new URL('https://example.com'), { HTTPS_PROXY: 'http://a:1', no_proxy: 'a.example.com' }, 'http://a:1/'],
  ]
  test.each(USED)('of %s with %j is %p', (server, env, proxy) => {
    expect(proxyFor(server, env)?.href).toBe(proxy as string)
  })

  const REFUSED: [value: string, message: string][] = [
    ['not a url', 'HTTPS_PROXY is not the URL of a proxy.'],
    ['http://', 'HTTPS_PROXY is not the URL of a proxy.'],
    ['http://a:99999', 'HTTPS_PROXY is not the URL of a proxy.'],
    ['socks5://ada:secret@a:1', 'HTTPS_PROXY names a socks5 proxy, which atlas does not support.'],
  ]
  test.each(REFUSED)('"%s" is refused', (value, message) => {
    expect(() => proxyFor(HTTPS, { HTTPS_PROXY: value })).toThrow(message)
  })
})

describe('a proxy that cannot be used', () => {
  const env = { ATLAS_API_URL: 'https://192.0.2.1', ATLAS_ACCESS_TOKEN: 'token', HTTPS_PROXY: 'not a url' }

  test('is told before anything is sent, by every command that would use it', async () => {
    using sandbox = createSandbox(env)
    for (const args of [['api', '/x'], ['auth', 'status'], ['sync']]) {
      const { status, stderr } = await sandbox.run([...args, '--json'])
      expect({ args, status, error: JSON.parse(stderr).error }).toEqual({
        args,
        status: 2,
        error: {
          code: 'usage',
          message: 'HTTPS_PROXY is not the URL of a proxy.',
          hint: 'Give one such as http://proxy.example.com:3128, or unset it.',
        },
      })
    }
  })

  test('is found by doctor', async () => {
    using sandbox = createSandbox(env)
    const { status, stdout } = await sandbox.run(['doctor', '--json'])
    const checks: { name: string }[] = JSON.parse(stdout).checks
    expect({ status, proxy: checks.find(({ name }) => name === 'proxy') }).toEqual({
      status: 1,
      proxy: {
        name: 'proxy',
        status: 'fail',
        detail: 'HTTPS_PROXY is not the URL of a proxy.',
        fix: 'Give one such as http://proxy.example.com:3128, or unset it.',
      } as never,
    })
  })

  test('is of no concern to this machine', async () => {
    await using server = await startAtlasServer()
    using sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', HTTP_PROXY: 'not a url' })
    expect((await sandbox.logIn(server)).status).toBe(0)
  })
})

test('a proxy without a scheme is used, with its user', async () => {
  await using proxy = await startRawServer(socket =>
    socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}'),
  )
  using sandbox = createSandbox({
    ATLAS_API_URL: 'http://atlas.invalid/api/v1',
    ATLAS_ALLOW_HTTP: '1',
    ATLAS_ACCESS_TOKEN: 'token',
    HTTP_PROXY: `ada:pass@127.0.0.1:${proxy.port}`,
  })
  const { status, stdout } = await sandbox.run(['api', '/x'])
  expect({ status, stdout }).toEqual({ status: 0, stdout: '{}' })
  expect(proxy.received).toStartWith('GET http://atlas.invalid/api/v1/x HTTP/1.1\r\n')
  expect(proxy.received).toContain(`Proxy-Authorization: Basic ${btoa('ada:pass')}`)
})

describe('a proxy that does not lead to the server', () => {
  const SERVERS = ['https://atlas.invalid', 'http://atlas.invalid']
  const ask = async (server: string, proxy: string) => {
    using sandbox = createSandbox({
      ATLAS_API_URL: `${server}/api/v1`,
      ATLAS_ACCESS_TOKEN: 'token',
      ATLAS_ALLOW_HTTP: '1',
      ALL_PROXY: proxy,
    })
    const { status, stderr } = await sandbox.run(['api', '/x', '--timeout', '1'])
    return { status, said: stderr.split('\n')[0] }
  }
  const ANSWERS: [
    what: string,
    answer: string | undefined,
    said: (server: string, proxy: string) => string,
  ][] = [
    [
      'wants a login',
      'HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n',
      (server, proxy) => `The proxy ${proxy}, on the way to ${server}, wants a user and password (407).`,
    ],
    [
      'closes the connection',
      '',
      (server, proxy) =>
        `${server}, or the proxy ${proxy} before it, closed the connection before the answer was complete.`,
    ],
    [
      'says nothing',
      undefined,
      (server, proxy) => `${server} did not answer through the proxy ${proxy} within 1 s.`,
    ],
  ]
  test.each(
    ANSWERS.flatMap(one => SERVERS.map(server => [...one, server] as const)),
  )('proxy: one that %s is named', async (_, bytes, said, server) => {
    await using raw = await startRawServer(socket => {
      if (bytes !== undefined) socket.end(bytes)
    })
    const proxy = `http://127.0.0.1:${raw.port}`
    expect(await ask(server, proxy)).toEqual({ status: 5, said: `atlas: ${said(server, proxy)}` })
  })

  test.each(SERVERS)('proxy: one that is not there is named, on the way to %s', async server => {
    const proxy = 'http://127.0.0.1:1'
    expect(await ask(server, proxy)).toEqual({
      status: 5,
      said: `atlas: The proxy ${proxy}, on the way to ${server}, could not be reached: connection refused.`,
    })
  })

  test('proxy: a login that it rejects is called so, and not shown', async () => {
    await using raw = await startRawServer(socket =>
      socket.end('HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n'),
    )
    const { said } = await ask('https://atlas.invalid', `http://ada:hunter2@127.0.0.1:${raw.port}`)
    expect(said).toBe(
      `atlas: The proxy http://127.0.0.1:${raw.port}, on the way to https://atlas.invalid, rejects the user and password of its URL (407).`,
    )
  })
})
