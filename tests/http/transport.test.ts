import { describe, expect, test } from 'bun:test'
import zlib from 'node:zlib'
import { createBudget } from '../../lib/http/deadline.ts'
import { createTransport, MAX_ANSWER_BYTES, type Transport } from '../../lib/http/transport.ts'
import {
  type Answer,
  answering,
  bomb,
  dripping,
  flooding,
  sending,
  stalling,
} from '../support/hostile-answers.ts'
import { startRawServer } from '../support/raw-server.ts'
import { codeOf } from '../support/session-kit.ts'

const TIMEOUT_MS = 300

const guarded = (timeoutMs = TIMEOUT_MS, debug: (line: string) => void = () => {}): Transport =>
  createTransport({
    timeoutMs,
    budget: createBudget(Number.POSITIVE_INFINITY),
    allowHttp: false,
    proxyOf: () => undefined,
    debug,
    isSafeToShow: () => true,
  })

const OK = 'HTTP/1.1 200 OK\r\n'

/** Ask a server that does the same with every connection. */
async function ask(answer: Answer, init: Parameters<Transport>[1] = {}, timeoutMs = 5_000): Promise<string> {
  await using server = await startRawServer(answer)
  return await codeOf(
    guarded(timeoutMs)(`http://127.0.0.1:${server.port}/`, init).then(response => response.text()),
  )
}

describe('the time limit', () => {
  const CASES: [name: string, answer: Answer][] = [
    ['the headers', stalling('')],
    ['headers that drip', dripping(OK, 'X')],
    ['the body', stalling(`${OK}Content-Length: 9\r\n\r\n{`)],
    ['a body that drips', dripping(`${OK}\r\n`, 'x')],
  ]
  test.each(CASES)('is over %s', async (_, answer) => {
    expect(await ask(answer, {}, TIMEOUT_MS)).toBe('timeout')
  })

  test('of a request may be shorter than the policy’s, not longer', async () => {
    expect(await ask(stalling(''), { guard: { timeoutMs: 50 } }, 60_000)).toBe('timeout')
    expect(await ask(stalling(''), { guard: { timeoutMs: 60_000 } }, TIMEOUT_MS)).toBe('timeout')
  })

  test('is told without the rest of a calculation', async () => {
    await using server = await startRawServer(stalling(''))
    const url = `http://127.0.0.1:${server.port}`
    expect(await guarded(99.999_993)(`${url}/`).catch(error => error.message)).toBe(
      `${url} did not answer within 0.1 s.`,
    )
  })

  test('is not used up by a request whose own body comes slowly, and runs while the server takes none', async () => {
    const slowly = (pauses: readonly number[]) =>
      new ReadableStream<Uint8Array>({
        async pull(controller) {
          const pause = pauses[pieces++]
          if (pause === undefined) return controller.close()
          await Bun.sleep(pause)
          controller.enqueue(Buffer.from('piece'))
        },
      })
    let pieces = 0
    await using server = await startRawServer(socket => {
      socket.on('data', data => {
        if (data.toString().endsWith('0\r\n\r\n'))
          socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      })
    })
    const url = `http://127.0.0.1:${server.port}/`
    const body = slowly([TIMEOUT_MS * 2, TIMEOUT_MS * 2])
    expect(await (await guarded()(url, { method: 'POST', body })).text()).toBe('ok')
    expect(server.received.match(/piece/g)).toHaveLength(2)
    pieces = 0
    await using silent = await startRawServer(() => {})
    const request = guarded()(`http://127.0.0.1:${silent.port}/`, { method: 'POST', body: slowly([1, 1]) })
    expect(await codeOf(request)).toBe('timeout')
  })

  test('of a streamed answer is for its headers, and then between two pieces', async () => {
    let pieces = 0
    await using server = await startRawServer(socket => {
      socket.write(`${OK}\r\n`)
      const timer = setInterval(
        () => (++pieces <= 8 ? socket.write('x') : clearInterval(timer)),
        TIMEOUT_MS / 3,
      )
    })
    const response = await guarded()(`http://127.0.0.1:${server.port}/`, { guard: { streamed: true } })
    let received = ''
    const reading = (async () => {
      for await (const piece of response.body ?? []) received += new TextDecoder().decode(piece)
    })()
    expect({ code: await codeOf(reading), received }).toEqual({ code: 'timeout', received: 'xxxxxxxx' })
  })

  test('of a streamed answer stands still while its reader is busy', async () => {
    await using server = await startRawServer(answering('200 OK', 'late'))
    const response = await guarded()(`http://127.0.0.1:${server.port}/`, { guard: { streamed: true } })
    await Bun.sleep(TIMEOUT_MS * 2)
    expect(await response.text()).toBe('late')
  })
})

describe('the size limit', () => {
  test('is counted to the byte', async () => {
    const body = (size: number) => answering('200 OK', 'x'.repeat(size))
    const guard = { maxBytes: 1000 }
    expect(await ask(body(1000), { guard })).toBe('no error')
    expect(await ask(body(1001), { guard })).toBe('bad_response')
    expect(await ask(body(MAX_ANSWER_BYTES))).toBe('no error')
    expect(await ask(body(MAX_ANSWER_BYTES + 1))).toBe('bad_response')
  })

  test.each(['gzip', 'deflate', 'br', 'zstd'] as const)('is counted after unpacking (%s)', async encoding => {
    expect(await ask(await bomb(encoding))).toBe('bad_response')
  })

  test('ends an endless body', async () => {
    expect(await ask(flooding(`${OK}\r\n`, 'x'.repeat(65_536)), {}, 60_000)).toBe('bad_response')
  })
})

describe('a redirect', () => {
  test.each([
    301, 302, 303, 307, 308,
  ])('(%d) comes back as it is, and nothing arrives at its target', async status => {
    await using target = await startRawServer(socket => socket.end())
    const location = `http://127.0.0.1:${target.port}/x`
    await using server = await startRawServer(answering(`${status} Moved`, '', [`Location: ${location}`]))
    const response = await guarded(5_000)(`http://127.0.0.1:${server.port}/`, {
      method: 'POST',
      body: 'password=x',
    })
    expect({
      status: response.status,
      location: response.headers.get('location'),
      connections: target.connections,
    }).toEqual({ status, location, connections: 0 })
  })

  test('is not followed where a caller asks for it', async () => {
    await using target = await startRawServer(socket => socket.end())
    await using server = await startRawServer(
      answering('302 Found', '', [`Location: http://127.0.0.1:${target.port}/`]),
    )
    const init = { redirect: 'follow' } as const
    expect((await guarded(5_000)(`http://127.0.0.1:${server.port}/`, init)).status).toBe(302)
    expect(target.connections).toBe(0)
  })
})

describe('a URL that', () => {
  const REFUSED: [name: string, url: string, code: string][] = [
    ['names a file', 'file:///etc/passwd', 'usage'],
    ['holds data', 'data:text/plain,x', 'usage'],
    ['is a blob', 'blob:http://127.0.0.1/x', 'usage'],
    ['is plain http to another machine', 'http://192.0.2.1/', 'insecure_url'],
    ['is plain http to a name that looks like this machine', 'http://localhost.example/', 'insecure_url'],
  ]
  test.each(REFUSED)('%s is refused', async (_, url, code) => {
    expect(await codeOf(guarded()(url))).toBe(code)
  })
})

describe('surroundings', () => {
  test('a proxy is not used for this machine', async () => {
    await using proxy = await startRawServer(socket => socket.end())
    await using server = await startRawServer(answering('200 OK', 'direct'))
    const script = `
      const { createTransport } = await import(${JSON.stringify(import.meta.resolve('../../lib/http/transport.ts'))})
      const guarded = createTransport({ timeoutMs: 5000, budget: { within: ms => ms, exclude() {} }, allowHttp: false, proxyOf: () => undefined, debug() {}, isSafeToShow: () => true })
      for (const host of ['127.0.0.1', 'localhost']) console.log(await (await guarded('http://' + host + ':${server.port}/')).text())`
    const url = `http://127.0.0.1:${proxy.port}`
    const child = Bun.spawn([process.execPath, '-e', script], {
      env: {
        PATH: process.env['PATH'] ?? '',
        HTTP_PROXY: url,
        http_proxy: url,
        HTTPS_PROXY: url,
        ALL_PROXY: url,
      },
    })
    const stdout = await new Response(child.stdout).text()
    expect({ stdout, proxied: proxy.connections }).toEqual({
      stdout: 'direct\ndirect\n',
      proxied: 0,
    })
  })

  test('every request has a connection of its own, so that none is sent twice over a stale one', async () => {
    await using server = await startRawServer(socket => {
      // Kept open, as a server does that would be asked again over it.
      socket.write('HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\n{}')
    })
    const ask = guarded(5_000)
    for (let count = 0; count < 3; count++) await (await ask(`http://127.0.0.1:${server.port}/`)).text()
    expect({ connections: server.connections, requests: server.received.match(/^GET /gm)?.length }).toEqual({
      connections: 3,
      requests: 3,
    })
  })

  test('a request that is torn off is not sent again', async () => {
    await using server = await startRawServer(socket => socket.resetAndDestroy())
    const url = `http://127.0.0.1:${server.port}/`
    for (const method of ['GET', 'POST'])
      expect(await codeOf(guarded(5_000)(url, { method }))).toBe('network')
    expect(server.connections).toBe(2)
  })
})

test('what the caller’s signal ends, ends with its reason', async () => {
  await using server = await startRawServer(stalling(`${OK}Content-Length: 9\r\n\r\n{`))
  const reason = Object.assign(new Error('enough'), { code: 'mine' })
  const url = `http://127.0.0.1:${server.port}/`
  expect(await codeOf(guarded(60_000)(url, { signal: AbortSignal.abort(reason) }))).toBe('mine')
  const later = new AbortController()
  const waiting = codeOf(guarded(60_000)(url, { signal: later.signal }))
  setTimeout(() => later.abort(reason), 50)
  expect(await waiting).toBe('mine')
})

test('diagnostics name method, place and outcome, and no header, query or body', async () => {
  await using server = await startRawServer(answering('200 OK', 'secret-answer'))
  const lines: string[] = []
  await guarded(5_000, line => lines.push(line))(`http://127.0.0.1:${server.port}/a?q=secret`, {
    method: 'POST',
    headers: { authorization: 'Bearer secret' },
    body: 'secret',
  })
  expect(lines.map(line => line.replace(/\d+ ms/, 'N ms'))).toEqual([
    `http POST http://127.0.0.1:${server.port}/a: 200 in N ms`,
  ])
})

describe('a packed body', () => {
  const TEXT = '{"a":1}'
  const packed = (coding: string, body: Uint8Array): Answer =>
    sending(`${OK}Content-Encoding: ${coding}\r\nContent-Length: ${body.length}\r\n\r\n`, body)
  const WAYS: [name: string, coding: string, body: Uint8Array, text: string][] = [
    ['gzip', 'gzip', zlib.gzipSync(TEXT), TEXT],
    ['gzip by its old name', 'x-gzip', zlib.gzipSync(TEXT), TEXT],
    ['gzip in capitals', 'GZIP', zlib.gzipSync(TEXT), TEXT],
    ['gzip in two parts', 'gzip', Buffer.concat([zlib.gzipSync('{"a"'), zlib.gzipSync(':1}')]), TEXT],
    ['deflate', 'deflate', zlib.deflateSync(TEXT), TEXT],
    ['deflate without its header', 'deflate', zlib.deflateRawSync(TEXT), TEXT],
    ['br', 'br', zlib.brotliCompressSync(TEXT), TEXT],
    ['zstd', 'zstd', zlib.zstdCompressSync(TEXT), TEXT],
    ['gzip and identity', 'gzip, identity', zlib.gzipSync(TEXT), TEXT],
    ['identity', 'identity', Buffer.from(TEXT), TEXT],
    ['a coding that nobody asked for', 'compress', Buffer.from(TEXT), TEXT],
    ['gzip around nothing at all', 'gzip', Buffer.alloc(0), ''],
  ]
  test.each(WAYS)('(%s) is unpacked, streamed or not', async (_, coding, body, text) => {
    await using server = await startRawServer(packed(coding, body))
    const url = `http://127.0.0.1:${server.port}/`
    const texts = [{}, { streamed: true }].map(async guard => (await guarded(5_000)(url, { guard })).text())
    expect(await Promise.all(texts)).toEqual([text, text])
  })

  test('is asked for, where the caller asks for nothing else', async () => {
    await using server = await startRawServer(answering('200 OK'))
    const url = `http://127.0.0.1:${server.port}/`
    await guarded(5_000)(url)
    await guarded(5_000)(url, { headers: { 'Accept-Encoding': 'identity' } })
    expect(server.received.match(/^accept-encoding: .*$/gim)?.map(line => line.toLowerCase())).toEqual([
      'accept-encoding: gzip, deflate, br, zstd',
      'accept-encoding: identity',
    ])
  })

  test('that is cut off by the network is no fault of the server', async () => {
    const body = zlib.gzipSync(TEXT)
    const head = `${OK}Content-Encoding: gzip\r\nContent-Length: ${body.length}\r\n\r\n`
    for (const guard of [{}, { streamed: true }])
      expect(await ask(sending(head, body.subarray(0, 12)), { guard })).toBe('network')
  })

  test('that stops before its first piece can be given up', async () => {
    await using server = await startRawServer(
      stalling(`${OK}Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\n`),
    )
    const response = await guarded(60_000)(`http://127.0.0.1:${server.port}/`, { guard: { streamed: true } })
    const reader = response.body?.getReader()
    const reading = reader?.read()
    await reader?.cancel()
    expect(await reading).toEqual({ done: true, value: undefined })
  })
})

test('an answer is what the server sent, unpacked, with its headers', async () => {
  const packed = Bun.gzipSync(Buffer.from('{"a":1}'))
  await using server = await startRawServer(
    sending(
      `${OK}Content-Encoding: gzip\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: ${packed.length}\r\n\r\n`,
      packed,
    ),
  )
  const response = await guarded(5_000)(`http://127.0.0.1:${server.port}/`)
  expect({
    status: response.status,
    cookies: response.headers.getSetCookie(),
    body: await response.text(),
  }).toEqual({
    status: 200,
    cookies: ['a=1', 'b=2'],
    body: '{"a":1}',
  })
})
