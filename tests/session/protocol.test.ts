import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { AtlasError } from '../../lib/errors.ts'
import type { Answer } from '../../lib/http/answer.ts'
import {
  isRefusal,
  loginError,
  loginForm,
  parseAccessToken,
  parseRefreshToken,
  readClaims,
  refreshCookieHeader,
} from '../../lib/session/protocol.ts'
import { forRun } from '../support/needs.ts'

const NOW = new Date('2026-03-04T05:06:07Z')
const later = (seconds: number): Date => new Date(NOW.getTime() + seconds * 1000)

const answer = (status: number, body: unknown, headers = new Headers()): Answer => ({
  request: 'POST /auth/refresh',
  url: new URL('https://atlas.example.com/api/v1/auth/refresh'),
  receivedAt: NOW,
  status,
  statusText: '',
  headers,
  body: typeof body === 'string' ? body : JSON.stringify(body),
})
/** Cookies that no Headers object would take are among them. */
const withCookies = (cookies: readonly string[], date: string | null = null): Answer => {
  const headers: Partial<Headers> = {
    getSetCookie: () => [...cookies],
    get: (name: string) => (name === 'date' ? date : null),
  }
  return answer(200, '', headers as Headers)
}
const tokens = (body: unknown) => parseAccessToken(answer(200, body))
const codeOf = (work: () => unknown): string => {
  try {
    work()
  } catch (error) {
    return error instanceof AtlasError ? error.code : String(error)
  }
  return 'no error'
}

describe('requests', () => {
  test('a login is the OAuth2 password form', () => {
    expect(loginForm('ada+x@example.com', 'p&=ä w').toString()).toBe(
      'grant_type=password&username=ada%2Bx%40example.com&password=p%26%3D%C3%A4+w',
    )
  })
  test('a refresh carries its cookie', () => {
    expect(refreshCookieHeader('abc')).toBe('refresh_token=abc')
  })
})

describe('tokens', () => {
  const GOOD = { access_token: 'access', token_type: 'bearer' }

  const LIFETIMES: [expiresIn: unknown, seconds: number | null][] = [
    [1800, 1800],
    [0, 0],
    [0.5, 0.5],
    ['1800', 1800],
    [undefined, null],
    [null, null],
    [-1, null],
    [1e308, null],
    ['soon', null],
    ['-5', null],
    ['1e3', null],
    [true, null],
    [[], null],
    [{}, null],
    [10 * 365 * 86_400 + 1, null],
  ]
  test.each(LIFETIMES)('that live for %p end after %p s', (expiresIn, seconds) => {
    expect(tokens({ ...GOOD, expires_in: expiresIn })).toEqual({
      accessToken: 'access',
      expiresAt: seconds === null ? null : later(seconds),
      lifetimeMs: seconds === null ? null : seconds * 1000,
    })
  })

  test.each(['bearer', 'Bearer', 'BEARER'])('of type %s are taken', type => {
    expect(tokens({ ...GOOD, token_type: type }).accessToken).toBe('access')
  })

  test.each([undefined, null])('of type %p are taken where the type may be left out', type => {
    const got = answer(200, { ...GOOD, token_type: type })
    expect(parseAccessToken(got, { mayOmitType: true }).accessToken).toBe('access')
  })
  test.each(['mac', '', 7, {}])('of type %p are refused all the same', type => {
    const got = answer(200, { ...GOOD, token_type: type })
    expect(codeOf(() => parseAccessToken(got, { mayOmitType: true }))).toBe('bad_response')
  })

  const BAD: [what: string, body: unknown][] = [
    ['null', null],
    ['a list', []],
    ['a string', 'access'],
    ['a number', 1],
    ['an empty object', {}],
    ['no token', { token_type: 'bearer' }],
    ['an empty token', { ...GOOD, access_token: '' }],
    ['a token that is a number', { ...GOOD, access_token: 1 }],
    ['a token that is a list', { ...GOOD, access_token: ['access'] }],
    ['a token with a line break', { ...GOOD, access_token: 'a\r\nx-evil: 1' }],
    ['a token with a space', { ...GOOD, access_token: 'a b' }],
    ['a token that is not ASCII', { ...GOOD, access_token: 'ä' }],
    ['a token of more than 64 KiB', { ...GOOD, access_token: 'a'.repeat(65_537) }],
    ['no type', { access_token: 'access' }],
    ['another type', { ...GOOD, token_type: 'mac' }],
    ['a type that is no string', { ...GOOD, token_type: null }],
  ]
  test.each(BAD)('are not in an answer with %s', (_, body) => {
    expect(codeOf(() => tokens(body))).toBe('bad_response')
  })
  test.each(['', '<html>', '{"access_token":', 'null null'])('are not in "%s"', body => {
    expect(codeOf(() => tokens(body))).toBe('bad_response')
  })

  test('of 64 KiB are taken', () => {
    expect(tokens({ ...GOOD, access_token: 'a'.repeat(65_536) }).accessToken).toHaveLength(65_536)
  })

  test('in any answer are usable, or the answer is refused', () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json(),
          fc.string(),
          fc
            .record({
              access_token: fc.anything(),
              token_type: fc.constantFrom('bearer', 'Bearer', 1, null),
              expires_in: fc.anything(),
            })
            .map(body =>
              JSON.stringify(body, (_, value) => (typeof value === 'bigint' ? Number(value) : value)),
            ),
          fc.string({ unit: 'binary' }).map(token => JSON.stringify({ ...GOOD, access_token: token })),
        ),
        fc.array(
          fc.string({ unit: 'binary-ascii' }).map(text => `refresh_token=${text}`),
          { maxLength: 3 },
        ),
        (body, cookies) => {
          const got: Answer = { ...withCookies(cookies), body }
          try {
            const { accessToken, expiresAt } = parseAccessToken(got)
            const refresh = parseRefreshToken(got)
            expect(accessToken).toMatch(/^[\x21-\x7e]+$/)
            expect(expiresAt?.getTime()).not.toBeNaN()
            if (refresh) expect(refresh.refreshToken).toMatch(/^[\x21-\x3a\x3c-\x7e]+$/)
          } catch (error) {
            if (!(error instanceof AtlasError)) throw error
            expect(error.code).toBe('bad_response')
          }
        },
      ),
      { numRuns: forRun({ short: 400, full: 2_000 }) },
    ))
})

describe('the refresh cookie', () => {
  const WEEK = 604_800
  const session = (token: string) => ({ refreshToken: token, sessionExpiresAt: null })
  const COOKIES: [what: string, cookies: string[], parsed: ReturnType<typeof parseRefreshToken>][] = [
    ['none', [], undefined],
    ['another', ['sid=1; Path=/'], undefined],
    ['one that only begins like it', ['refresh_token2=x'], undefined],
    ['a name without a value', ['refresh_token'], undefined],
    [
      'the usual',
      [`refresh_token=abc; HttpOnly; Max-Age=${WEEK}; Path=/api/v1/auth; SameSite=lax; Secure`],
      { refreshToken: 'abc', sessionExpiresAt: later(WEEK) },
    ],
    ['one among others', ['sid=1', 'refresh_token=abc', 'theme=dark'], session('abc')],
    ['two, of which the last counts', ['refresh_token=a', 'refresh_token=b'], session('b')],
    ['one that is taken back', ['refresh_token=a', 'refresh_token=; Max-Age=0'], undefined],
    ['spaces around', [' refresh_token = abc ; path=/'], session('abc')],
    ['a value with "="', ['refresh_token=a=b=='], session('a=b==')],
    ['a quoted value, which is sent back as it is', ['refresh_token="abc"'], session('"abc"')],
    ['an empty value', ['refresh_token='], undefined],
    ['an empty quoted value', ['refresh_token=""'], undefined],
    ['Max-Age of nought', ['refresh_token=a; Max-Age=0'], undefined],
    ['a negative Max-Age', ['refresh_token=a; Max-Age=-1'], undefined],
    ['Max-Age that is no number', ['refresh_token=a; Max-Age=soon'], session('a')],
    [
      'a huge Max-Age',
      ['refresh_token=a; Max-Age=9999999999999'],
      { refreshToken: 'a', sessionExpiresAt: later(315_360_000) },
    ],
    [
      'Expires ahead',
      ['refresh_token=a; Expires=Wed, 04 Mar 2026 05:06:17 GMT'],
      { refreshToken: 'a', sessionExpiresAt: later(10) },
    ],
    [
      'Expires in the old way',
      ['refresh_token=a; expires=Wed, 04-Mar-2026 05:06:17 GMT'],
      { refreshToken: 'a', sessionExpiresAt: later(10) },
    ],
    ['Expires gone by', ['refresh_token=a; Expires=Thu, 01 Jan 1970 00:00:00 GMT'], undefined],
    ['Expires that is no date', ['refresh_token=a; Expires=0'], session('a')],
    [
      'Max-Age, which beats Expires',
      ['refresh_token=a; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=10'],
      { refreshToken: 'a', sessionExpiresAt: later(10) },
    ],
    ['its own domain', ['refresh_token=a; Domain=atlas.example.com'], session('a')],
    ['its own domain with a dot', ['refresh_token=a; Domain=.ATLAS.example.com'], session('a')],
    ['the domain above', ['refresh_token=a; Domain=example.com'], session('a')],
    ['an empty domain', ['refresh_token=a; Domain='], session('a')],
    ['a foreign domain', ['refresh_token=a; Domain=evil.example'], undefined],
    ['a domain below', ['refresh_token=a; Domain=x.atlas.example.com'], undefined],
    ['a domain that ends alike', ['refresh_token=a; Domain=las.example.com'], undefined],
    [
      'a foreign one beside its own',
      ['refresh_token=a', 'refresh_token=b; Domain=evil.example'],
      session('a'),
    ],
    ['any path, where it is alone', ['refresh_token=a; Path=/elsewhere'], session('a')],
    [
      'its own beside one that is cleared on another path',
      ['refresh_token=a; Path=/api/v1/auth', 'refresh_token=; Max-Age=0; Path=/'],
      session('a'),
    ],
    [
      'its own beside one that is cleared without a path',
      ['refresh_token=a; Path=/', 'refresh_token=; Max-Age=0'],
      session('a'),
    ],
    [
      'its own beside one of another application, on a path that does not match',
      ['refresh_token=a; Path=/api/v1/auth', 'refresh_token=b; Path=/other'],
      session('a'),
    ],
    [
      'the one with the longest path that matches',
      ['refresh_token=a; Path=/api/v1/auth', 'refresh_token=b; Path=/'],
      session('a'),
    ],
    [
      'the path with a slash at its end, which is longer',
      ['refresh_token=a; Path=/api/v1/auth/', 'refresh_token=b; Path=/api/v1/auth'],
      session('a'),
    ],
    [
      'a path that only begins alike',
      ['refresh_token=a; Path=/', 'refresh_token=b; Path=/api/v1/au'],
      session('a'),
    ],
    [
      'the same cookie twice, once without its path',
      ['refresh_token=a; Path=/api/v1/auth', 'refresh_token=b'],
      session('b'),
    ],
    [
      'a year of two digits (RFC 6265 §5.1.1)',
      ['refresh_token=a; Expires=Wed, 04-Mar-26 05:06:17 GMT'],
      { refreshToken: 'a', sessionExpiresAt: later(10) },
    ],
    [
      'the last of one cookie that is set three times, with and without its host as the domain',
      [
        'refresh_token=a; Path=/api/v1/auth',
        'refresh_token=b; Path=/api/v1/auth; Domain=atlas.example.com',
        'refresh_token=c; Path=/api/v1/auth',
      ],
      session('c'),
    ],
    [
      'the last of several on paths that do not match',
      ['refresh_token=a; Path=/x', 'refresh_token=b; Path=/y', 'refresh_token=c; Path=/x'],
      session('c'),
    ],
    [
      'one that is cleared with its host as the domain',
      ['refresh_token=a; Path=/x', 'refresh_token=; Path=/x; Max-Age=0; Domain=atlas.example.com'],
      undefined,
    ],
    ['Secure, although the server is on plain http', ['refresh_token=a; Secure'], session('a')],
  ]
  /** By the server's clock; ours stands at 05:06:07 on the fourth. */
  const DATES: [what: string, expires: string, date: string | null, parsed: unknown][] = [
    [
      'a week ahead of a server behind us',
      'Wed, 11 Feb 2026 00:00:00 GMT',
      'Wed, 04 Feb 2026 00:00:00 GMT',
      WEEK,
    ],
    [
      'a week ahead of a server before us',
      'Wed, 11 Mar 2026 06:00:00 GMT',
      'Wed, 04 Mar 2026 06:00:00 GMT',
      WEEK,
    ],
    [
      'past by the server’s clock alone',
      'Wed, 04 Mar 2026 05:59:59 GMT',
      'Wed, 04 Mar 2026 06:00:00 GMT',
      'cleared',
    ],
    [
      'past by our clock alone, of a server that does not say its own',
      'Wed, 11 Feb 2026 00:00:00 GMT',
      null,
      null,
    ],
    ['past by our clock, of a server whose own is no date', 'Wed, 11 Feb 2026 00:00:00 GMT', 'soon', null],
    ['long past, of a server that does not say its clock', 'Fri, 31 Dec 1999 23:59:59 GMT', null, 'cleared'],
    [
      'a week ahead in two digits, with dashes',
      'Wed, 11-Mar-26 06:00:00 GMT',
      'Wed, 04 Mar 2026 06:00:00 GMT',
      WEEK,
    ],
    [
      'a week ahead as asctime writes it, in UTC',
      'Wed Mar 11 06:00:00 2026',
      'Wed, 04 Mar 2026 06:00:00 GMT',
      WEEK,
    ],
    [
      'a year of two digits below 70',
      'Tue, 31-Dec-69 06:00:00 GMT',
      'Wed, 04 Mar 2026 06:00:00 GMT',
      315_360_000,
    ],
    ['a year of two digits from 70 on', 'Thu, 01-Jan-70 00:00:00 GMT', null, 'cleared'],
    ['a day that no month has', 'Wed, 32 Mar 2026 06:00:00 GMT', 'Wed, 04 Mar 2026 06:00:00 GMT', null],
    ['no time of day', 'Wed, 11 Mar 2026', 'Wed, 04 Mar 2026 06:00:00 GMT', null],
    ['ages ahead', 'Fri, 31 Dec 9999 23:59:59 GMT', 'Wed, 04 Mar 2026 06:00:00 GMT', 315_360_000],
  ]
  test.each(DATES)('with Expires %s', (_, expires, date, seconds) => {
    const parsed = parseRefreshToken(withCookies([`refresh_token=a; Expires=${expires}`], date))
    expect(parsed).toEqual(
      seconds === 'cleared'
        ? undefined
        : { refreshToken: 'a', sessionExpiresAt: typeof seconds === 'number' ? later(seconds) : null },
    )
  })

  test.each(COOKIES)('%s', (_, cookies, parsed) => {
    expect(parseRefreshToken(withCookies(cookies))).toEqual(parsed)
  })

  test.each([
    'a b',
    'ä',
    'a\u0000',
    'a\tb',
    'x'.repeat(65_537),
  ])('that cannot be sent back is refused', token => {
    expect(codeOf(() => parseRefreshToken(withCookies([`refresh_token=${token}`])))).toBe('bad_response')
  })

  test.each(['127.0.0.1', '[::1]'])('of the address %s is for the address alone', host => {
    const url = new URL(`http://${host}:8000/`)
    const parse = (cookie: string) => parseRefreshToken({ ...withCookies([cookie]), url })
    expect(parse(`refresh_token=a; Domain=${host}`)).toEqual(session('a'))
    expect(parse('refresh_token=a; Domain=0.0.1')).toBeUndefined()
    expect(parse('refresh_token=a; Domain=1]')).toBeUndefined()
  })

  test('of any server is usable, absent, ended or refused', () => {
    const attribute = fc.oneof(
      fc.string({ unit: 'binary-ascii' }),
      fc.constantFrom(
        'Max-Age',
        'Max-Age=1e9',
        'Expires=99',
        'Domain',
        'Path=/',
        '=',
        ';',
        'Domain=example.com',
      ),
    )
    const line = fc
      .tuple(fc.constantFrom('refresh_token', ' refresh_token', 'other'), fc.string(), fc.array(attribute))
      .map(([name, value, attributes]) => [`${name}=${value}`, ...attributes].join(';'))
    fc.assert(
      fc.property(fc.array(line, { maxLength: 4 }), lines => {
        try {
          const parsed = parseRefreshToken(withCookies(lines))
          if (!parsed) return
          expect(parsed.refreshToken).toMatch(/^[\x21-\x3a\x3c-\x7e]+$/)
          expect(parsed.sessionExpiresAt?.getTime()).not.toBeNaN()
          expect(refreshCookieHeader(parsed.refreshToken).split(';')).toHaveLength(1)
        } catch (error) {
          if (!(error instanceof AtlasError)) throw error
          expect(error.code).toBe('bad_response')
        }
      }),
      { numRuns: forRun({ short: 400, full: 2_000 }) },
    )
  })
})

describe('claims', () => {
  const jwt = (claims: unknown): string =>
    `e30.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.signature`
  const NONE = { expiresAt: null, email: null }
  const CLAIMS: [token: string, claims: ReturnType<typeof readClaims>][] = [
    [jwt({ exp: 1_772_600_767, email: 'ada@example.com' }), { expiresAt: NOW, email: 'ada@example.com' }],
    [jwt({ exp: 1_772_600_767.5 }), { expiresAt: later(0.5), email: null }],
    [jwt({}), NONE],
    [jwt({ exp: '1772600767', email: 1 }), NONE],
    [jwt({ exp: 0 }), NONE],
    [jwt({ exp: -1 }), NONE],
    [jwt({ exp: 1e308 }), NONE],
    [jwt({ exp: 1_772_600_767_000 }), NONE],
    [jwt({ exp: null, email: null }), NONE],
    [jwt([]), NONE],
    [jwt(null), NONE],
    [jwt('text'), NONE],
    ['opaque', NONE],
    ['', NONE],
    ['..', NONE],
    ['a.!!!.c', NONE],
    [`a.${Buffer.from([0xff, 0xfe]).toString('base64url')}.c`, NONE],
  ]
  test.each(CLAIMS)('of %s', (token, claims) => {
    expect(readClaims(token)).toEqual(claims)
  })

  test('of any token can be told to a person', () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json().map(json => `a.${Buffer.from(json).toString('base64url')}.b`),
          fc.record({ exp: fc.oneof(fc.double(), fc.maxSafeInteger()), email: fc.string() }).map(jwt),
        ),
        token => {
          const { expiresAt, email } = readClaims(token)
          expect(expiresAt === null || /^\d{4}-/.test(expiresAt.toISOString())).toBe(true)
          expect(email === null || typeof email === 'string').toBe(true)
        },
      ),
      { numRuns: forRun({ short: 200, full: 1_000 }) },
    ))
})

describe('a refusal of the refresh token', () => {
  const ANSWERS: [status: number, body: unknown, refused: boolean, challenge: string | null][] = [
    [401, { detail: 'Invalid refresh token' }, true, null],
    [401, { detail: [{ msg: 'no' }] }, true, null],
    [401, { error: 'invalid_token' }, true, null],
    ...[
      'Bearer',
      'bearer',
      'Bearer realm="Basic, or not", error="invalid_token"',
      'BEARER realm = x, error=y',
    ].map((challenge): [number, unknown, boolean, string] => [401, { detail: 'expired' }, true, challenge]),
    ...[
      'Basic realm="proxy"',
      'basic',
      'Negotiate',
      'Negotiate oRQwEg==',
      'NTLM',
      'Digest realm="Bearer", nonce="x"',
      'Bearer, Basic realm="x"',
      'Bearer realm="a\\"b", Basic realm="x"',
      'Basic realm="x", Bearer',
    ].map((challenge): [number, unknown, boolean, string] => [401, { detail: 'no' }, false, challenge]),
    [401, '<html>', false, null],
    [401, '', false, null],
    [401, 'Jwt is missing', false, null],
    [401, '"Unauthorized"', false, null],
    [401, [{ detail: 'no' }], false, null],
    [401, { message: 'Unauthorized' }, false, null],
    [401, { detail: null }, false, null],
    [401, {}, false, null],
    [400, { error: 'invalid_grant' }, false, 'Basic'],
    [400, { error: 'invalid_grant' }, true, null],
    [400, { detail: 'invalid_grant' }, true, null],
    [400, { error: 'invalid_request' }, false, null],
    [400, { detail: 'bad' }, false, null],
    [400, '<html>', false, null],
    [400, 'null', false, null],
    ...[200, 302, 403, 404, 407, 408, 409, 422, 429, 500, 502, 503, 504].map(
      (status): [number, unknown, boolean, null] => [status, { error: 'invalid_grant' }, false, null],
    ),
  ]
  test.each(ANSWERS)('%d %j: %p (WWW-Authenticate: %s)', (status, body, refused, challenge) => {
    const headers = new Headers(challenge === null ? {} : { 'www-authenticate': challenge })
    expect(isRefusal(answer(status, body, headers))).toBe(refused)
  })
})

describe('an unsuccessful answer to a login', () => {
  const CODES: [status: number, code: string][] = [
    [204, 'bad_response'],
    [301, 'bad_response'],
    [400, 'bad_credentials'],
    [401, 'bad_credentials'],
    [403, 'bad_credentials'],
    [404, 'bad_response'],
    [418, 'bad_response'],
    [422, 'api_error'],
    [429, 'rate_limited'],
    [500, 'server_error'],
    [599, 'server_error'],
  ]
  test.each(CODES)('%d is %s', (status, code) => {
    const said = answer(status, { detail: 'no' })
    expect(loginError(said, { isSafeToShow: () => true }).code as string).toBe(code)
  })

  test.each([400, 401, 403, 422])('%d of a proxy or another kind of server is bad_response', status => {
    const basic = new Headers({ 'www-authenticate': 'Basic realm="proxy"' })
    for (const said of [answer(status, ''), answer(status, '<html>'), answer(status, { message: 'no' })])
      expect(loginError(said, { isSafeToShow: () => true }).code).toBe('bad_response')
    expect(loginError(answer(status, { detail: 'no' }, basic), { isSafeToShow: () => true }).code).toBe(
      'bad_response',
    )
  })

  test("shows the server's own words, unless they repeat a secret", () => {
    const refused = answer(401, { detail: 'Incorrect email' })
    expect(loginError(refused, { isSafeToShow: () => true }).message).toBe(
      'https://atlas.example.com refused the login: Incorrect email',
    )
    expect(loginError(refused, { isSafeToShow: () => false }).message).toBe(
      'https://atlas.example.com refused the login.',
    )
  })
})
