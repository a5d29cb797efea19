import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  givenApiRoot,
  isLoopback,
  normalizeApiUrl,
  possibleApiRoots,
  requireSecure,
  resolveRequestUrl,
} from '../../lib/config/server.ts'
import { AtlasError } from '../../lib/errors.ts'
import { forRun } from '../support/needs.ts'

const codeOf = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    return error instanceof AtlasError ? error.code : String(error)
  }
  return 'no error'
}

describe('a server URL', () => {
  test.each([
    ['https://atlas.example.com', 'https://atlas.example.com'],
    ['HTTPS://Atlas.Example.COM:443/', 'https://atlas.example.com'],
    ['http://localhost:80', 'http://localhost'],
    ['http://localhost:8000//', 'http://localhost:8000'],
    ['https://a.example/API/v1/', 'https://a.example/API/v1'],
    ['https://a.example/a/../b', 'https://a.example/b'],
    ['https://a.example/api/v1', 'https://a.example'],
    ['https://a.example/api/v1/', 'https://a.example'],
    ['https://a.example//api///v1//', 'https://a.example'],
    ['https://a.example/./api/x/../v1', 'https://a.example'],
    ['https://a.example/%61pi/v1', 'https://a.example'],
    ['https://a.example/api/v1/api/v1', 'https://a.example'],
    ['https://a.example/atlas', 'https://a.example/atlas'],
    ['https://a.example/atlas/', 'https://a.example/atlas'],
    ['https://a.example/atlas/api/v1/', 'https://a.example/atlas'],
    ['https://a.example/api', 'https://a.example/api'],
    ['https://a.example/v1', 'https://a.example/v1'],
    ['https://a.example/api/v10', 'https://a.example/api/v10'],
    ['https://a.example/myapi/v1', 'https://a.example/myapi/v1'],
    ['https://a.example/~a%2fb', 'https://a.example/~a%2Fb'],
    ['https://a.example/x/%%32e%%32e', 'https://a.example'],
    ['https://a.example/%2561pi', 'https://a.example/%2561pi'],
    ['http://127.1:8000', 'http://127.0.0.1:8000'],
    ['http://0.0.0.0:8000', 'http://127.0.0.1:8000'],
    ['http://0:8000', 'http://127.0.0.1:8000'],
    ['http://[::]:8000', 'http://[::1]:8000'],
    ['http://[::1]:8000', 'http://[::1]:8000'],
    ['https://bücher.example', 'https://xn--bcher-kva.example'],
  ])('%s is %s', (text, url) => {
    expect(normalizeApiUrl(text, 'it')).toBe(url)
  })

  test.each([
    ...[
      '',
      'atlas',
      'atlas.example.com',
      '//a',
      'ftp://a',
      'file:///a',
      'data:,a',
      'https:',
      'https://',
      'https:/a',
    ],
    ...[
      'https:///a',
      'https://a?',
      'https://a?b',
      'https://a#',
      'https://u@a',
      'https://u:p@a',
      'https://@a',
    ],
    ...[
      'https://a b',
      ' https://a',
      'https://a ',
      'https://a\\b',
      'https://a\n',
      'https://a\tb',
      'https://a:99999',
    ],
    ...['https://%', 'javascript:alert(1)'],
  ])('%j is refused', text => {
    expect(codeOf(() => normalizeApiUrl(text, 'it'))).toBe('usage')
  })

  test('of any kind has one form, without user, query or fragment', () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.webUrl({ withQueryParameters: true, withFragments: true }),
          fc.string(),
          fc.string().map(text => `https://${text}`),
        ),
        text => {
          let url: string
          try {
            url = normalizeApiUrl(text, 'it')
          } catch (error) {
            if (!(error instanceof AtlasError)) throw error
            return
          }
          const { username, password, search, hash, protocol } = new URL(url)
          expect({ username, password, search, hash }).toEqual({
            username: '',
            password: '',
            search: '',
            hash: '',
          })
          expect(protocol).toMatch(/^https?:$/)
          expect(normalizeApiUrl(url, 'it')).toBe(url)
        },
      ),
      { numRuns: forRun({ short: 400, full: 2_000 }) },
    ))
})

describe('plain http', () => {
  test.each([
    ['http://localhost', true],
    ['http://127.0.0.1', true],
    ['http://127.255.255.254', true],
    ['http://[::1]', true],
    ['http://atlas.localhost', true],
    ['http://[::ffff:127.0.0.1]', true],
    ['http://[::ffff:128.0.0.1]', false],
    ['http://notlocalhost', false],
    ['http://localhost.', false],
    ['http://localhost.example', false],
    ['http://127.0.0.1.example', false],
    ['http://128.0.0.1', false],
    ['http://0.0.0.0', false],
    ['http://[::]', false],
    ['http://10.0.0.1', false],
  ])('to %s stays on this machine: %p', (text, loopback) => {
    const url = new URL(text)
    expect(isLoopback(url.hostname)).toBe(loopback)
    expect(codeOf(() => requireSecure(url, false))).toBe(loopback ? 'no error' : 'insecure_url')
    expect(codeOf(() => requireSecure(url, true))).toBe('no error')
  })
  test('is not https', () => {
    expect(codeOf(() => requireSecure(new URL('https://a.example'), false))).toBe('no error')
  })
})

test.each([
  ['"https://a.example"', 'has quotes around it'],
  ['https://a.example\n', 'begins or ends with a blank or a line break'],
  ['\u00a0https://a.example', 'begins or ends with a blank or a line break'],
  ['\u200bhttps://a.example', 'contains an invisible character'],
  ['https://a.example/\u200b', 'contains an invisible character'],
])('%j is no server URL, and its mistake is named', (url, mistake) => {
  expect(() => normalizeApiUrl(url, 'it')).toThrow(`it is not a usable server URL: it ${mistake}.`)
})

test.each([
  ['https://a.example', undefined],
  ['https://a.example/api', undefined],
  ['https://A.example:443//api/./v1/', 'https://a.example/api/v1'],
  ['https://a.example/atlas/api/v1', 'https://a.example/atlas/api/v1'],
  ['https://a.example/api/v1/api/v1', 'https://a.example/api/v1'],
  ['nonsense/api/v1', undefined],
])('%s gives the API root %p', (url, apiRoot) => {
  expect(givenApiRoot(url)).toBe(apiRoot as string)
})

test.each([
  ['https://a.example', ['https://a.example/api/v1', 'https://a.example']],
  ['https://a.example/atlas', ['https://a.example/atlas/api/v1', 'https://a.example/atlas']],
])('the API of %s is looked for at %p', (url, apiRoots) => {
  expect(possibleApiRoots(url)).toEqual(apiRoots)
})

describe('a request path', () => {
  const ROOT = 'https://a.example/api/v1'
  test.each([
    ['/auth/me', `${ROOT}/auth/me`],
    ['auth/me', `${ROOT}/auth/me`],
    ['/x?y=z', `${ROOT}/x?y=z`],
    ['', `${ROOT}/`],
    ['/x#y', `${ROOT}/x`],
    ['/a b', `${ROOT}/a%20b`],
    ['/api/v1/auth/me', `${ROOT}/auth/me`],
    ['notes:search', `${ROOT}/notes:search`],
    ['/notes:search?q=a:b', `${ROOT}/notes:search?q=a:b`],
    ['api/v1/auth/me?x=y', `${ROOT}/auth/me?x=y`],
    ['/api/v1', `${ROOT}/`],
    ['/api/v1?x=y', `${ROOT}/?x=y`],
    ['/api/v10/x', `${ROOT}/api/v10/x`],
    ['/api/v1x', `${ROOT}/api/v1x`],
    ['https://a.example/else', 'https://a.example/else'],
    ['HTTPS://A.example:443/else', 'https://a.example/else'],
    ['//a.example/else', 'https://a.example/else'],
    ['/\\evil.example', 'https://a.example/api/v1//evil.example'],
    ['\\\\evil.example/x', 'https://a.example/api/v1///evil.example/x'],
    ['@evil.example', `${ROOT}/@evil.example`],
    ['/..//evil.example', 'https://a.example/api//evil.example'],
  ])('%j is %s', (path, url) => {
    expect(resolveRequestUrl(ROOT, path).href).toBe(url)
  })

  test.each([
    ['https://a.example/atlas/api/v1', '/api/v1/x', 'https://a.example/atlas/api/v1/x'],
    ['https://a.example/atlas/api/v1', '/atlas/api/v1/x', 'https://a.example/atlas/api/v1/x'],
    ['https://a.example/atlas', '/atlas/x', 'https://a.example/atlas/atlas/x'],
    ['https://a.example', '/api/v1/x', 'https://a.example/api/v1/x'],
  ])('below %s %j is %s', (root, path, url) => {
    expect(resolveRequestUrl(root, path).href).toBe(url)
  })

  test.each([
    ...[
      'https://evil.example/',
      '//evil.example/',
      'http://a.example/',
      'https://a.example:8443/',
      'https://a.example.evil/',
    ],
    ...[
      'https://u@a.example/',
      'https://a.example@evil.example/',
      'file:///etc/passwd',
      'data:,x',
      'javascript:1',
      'gopher://a.example/',
    ],
    ...['/notes/1\n2', '/notes/1\t2', '/notes/1\r', '\u0000', '/a\u007f', '/a\u0085b'],
    ...['C:/Program Files/Git/auth/me', 'c:\\x'],
  ])('%j leads elsewhere and is refused', path => {
    expect(codeOf(() => resolveRequestUrl(ROOT, path))).toBe('usage')
  })

  test('of any kind stays on the origin of the API root, or is refused', () => {
    const piece = fc.constantFrom(
      '/',
      '//',
      '\\',
      '..',
      ':',
      '@',
      'https:',
      'evil.example',
      '%2f',
      '?',
      '#',
      '\t',
      '\n',
      ' ',
      'a',
      '[',
      '\u0000',
      '。',
    )
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(piece).map(pieces => pieces.join('')),
          fc.string({ unit: 'binary' }),
          fc.webUrl(),
        ),
        path => {
          try {
            const { origin, username, password, hash } = resolveRequestUrl(ROOT, path)
            expect({ origin, username, password, hash }).toEqual({
              origin: 'https://a.example',
              username: '',
              password: '',
              hash: '',
            })
          } catch (error) {
            if (!(error instanceof AtlasError)) throw error
            expect(error.code).toBe('usage')
          }
        },
      ),
      { numRuns: forRun({ short: 1000, full: 5_000 }) },
    )
  })
})
