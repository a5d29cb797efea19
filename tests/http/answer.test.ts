import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { AtlasError } from '../../lib/errors.ts'
import { type Answer, apiError, errorFor, parseRetryAfter, serverWords } from '../../lib/http/answer.ts'
import { isRefusal, loginError } from '../../lib/session/protocol.ts'
import { createSecrets } from '../../lib/terminal/secrets.ts'
import { forRun } from '../support/needs.ts'

const NOW = new Date('2026-03-04T05:06:07Z')
const OPEN = { isSafeToShow: () => true }
const SECRET = { isSafeToShow: () => false }

const answer = (status: number, body: unknown, headers: Record<string, string> = {}): Answer => ({
  request: 'POST /auth/refresh',
  url: new URL('https://atlas.example.com/api/v1/auth/refresh'),
  receivedAt: NOW,
  status,
  statusText: 'Reason',
  headers: new Headers(headers),
  body: typeof body === 'string' ? body : JSON.stringify(body),
})

describe('Retry-After', () => {
  const VALUES: [value: string | null, seconds: number | undefined][] = [
    [null, undefined],
    ['17', 17],
    ['0', 0],
    ['99999999999999999999', 86_400],
    ['Wed, 04 Mar 2026 05:06:17 GMT', 10],
    ['Wed, 04 Mar 2026 05:06:00 GMT', undefined],
    ['Wed, 04 Mar 2099 05:06:00 GMT', 86_400],
    ['soon', undefined],
    ['', undefined],
    ['-1', undefined],
    ['17, 18', undefined],
  ]
  test.each(VALUES)('%p is %p s', (value, seconds) => {
    expect(parseRetryAfter(value, NOW) as unknown).toBe(seconds)
  })

  test('of any kind is a wait of at most a day, or none', () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.integer().map(String),
          fc.date({ noInvalidDate: true }).map(date => date.toUTCString()),
        ),
        value => {
          const seconds = parseRetryAfter(value, NOW)
          expect(
            seconds === undefined || (Number.isInteger(seconds) && seconds >= 0 && seconds <= 86_400),
          ).toBe(true)
        },
      ),
    ))
})

describe('an unsuccessful answer', () => {
  const CODES: [status: number, code: string, message: string][] = [
    [
      204,
      'bad_response',
      'https://atlas.example.com did not answer POST /auth/refresh as an Atlas server does: the status is 204.',
    ],
    [
      404,
      'bad_response',
      'https://atlas.example.com did not answer POST /auth/refresh as an Atlas server does: the status is 404.',
    ],
    [429, 'rate_limited', 'Rate limit exceeded (429) on https://atlas.example.com.'],
    [500, 'server_error', 'https://atlas.example.com failed (500) on POST /auth/refresh.'],
    [599, 'server_error', 'https://atlas.example.com failed (599) on POST /auth/refresh.'],
  ]
  test.each(CODES)('%d is %s', (status, code, message) => {
    const error = errorFor(answer(status, ''), OPEN)
    expect([error.code as string, error.message]).toEqual([code, message])
  })

  test('of 429 says how long to wait', () => {
    expect(errorFor(answer(429, '', { 'retry-after': '17' }), OPEN).hint).toBe('Wait 17 s, then try again.')
    expect(errorFor(answer(429, ''), OPEN).hint).toBe('Wait a minute, then try again.')
  })

  test('that redirects names the target without its query, unless it repeats a secret', () => {
    const redirect = answer(307, '', { location: `https://evil.example/${'x'.repeat(500)}` })
    const { message } = errorFor(redirect, OPEN)
    expect(message).toContain('it redirects to https://evil.example/xxx')
    expect(message.length).toBeLessThan(400)
    expect(errorFor(redirect, SECRET).message).not.toContain('evil')
    const asking = answer(307, '', { location: '/login?next=%2Fa&token=abc#def' })
    expect(errorFor(asking, OPEN).message).toContain(
      'it redirects to /login, which atlas does not follow here',
    )
  })

  const API: [status: number, headers: Record<string, string>, code: string, message: string][] = [
    [300, {}, 'api_error', 'POST /auth/refresh answered 300 Reason.'],
    [
      401,
      {},
      'token_rejected',
      'POST /auth/refresh answered 401 Reason: the server rejects the access token.',
    ],
    [418, {}, 'api_error', 'POST /auth/refresh answered 418 Reason.'],
  ]
  test.each(API)('%d with %j to atlas api is %s', (status, headers, code, message) => {
    const error = apiError(answer(status, '', headers), OPEN)
    expect([error.code as string, error.message]).toEqual([code, message])
  })

  test('to atlas api is one line without the parts that repeat a secret', () => {
    expect(apiError(answer(418, { detail: 'a secret' }), SECRET).message).toBe(
      'POST /auth/refresh answered 418 [hidden].',
    )
  })

  const WORDS: [body: unknown, words: string | undefined][] = [
    [{ detail: 'Incorrect email' }, 'Incorrect email'],
    [
      { detail: [{ loc: ['body', 'username'], msg: 'Field required', type: 'missing' }] },
      'username: Field required',
    ],
    [
      {
        detail: [
          { loc: ['body', 'username'], msg: 'bad' },
          { loc: ['body', 0], msg: 'worse', input: 'what was typed' },
        ],
      },
      'username: bad; worse',
    ],
    [{ detail: [null, 1, {}, { loc: 'x', msg: 2 }] }, undefined],
    [{ detail: [{ loc: ['body', 'size'], msg: 2 }] }, 'size: not valid'],
    [{ detail: ['Name is taken', 'Mail is taken'] }, 'Name is taken; Mail is taken'],
    [{ detail: [{ message: 'Name is taken' }] }, 'Name is taken'],
    [{ detail: { message: 'Name is taken', code: 7 } }, 'Name is taken'],
    [{ detail: '', error: 'no' }, 'no'],
    [{ detail: {} }, undefined],
    [{ detail: '' }, undefined],
    [{ error: 'Rate limit exceeded' }, 'Rate limit exceeded'],
    [{ detail: null, error: 'no' }, 'no'],
    [{ detail: 'yes', error: 'no' }, 'yes'],
    [{ error: { code: 1 } }, undefined],
    [{ detail: [] }, undefined],
    [{}, undefined],
    [[], undefined],
    ['<html>', undefined],
    [{ detail: 'x'.repeat(500) }, `${'x'.repeat(200)}…`],
  ]
  test.each(WORDS)('%j is quoted as "%s"', (body, words) => {
    expect(serverWords(answer(422, body), OPEN)).toBe(words as string)
  })

  test.each([
    ['blanks', `${' '.repeat(900_000)}x`],
    ['openings of a type', '[type='.repeat(150_000)],
    ['openings of a name', '\\N{'.repeat(225_000)],
    ['openings of a short text', '\\N{'.repeat(50_000)],
  ])('is judged at once where it is nothing but %s', (_, detail) => {
    const secrets = createSecrets()
    secrets.add('correct horse')
    for (const body of [{ detail }, { detail: [{ msg: detail }] }])
      expect(errorFor(answer(500, body), secrets).code).toBe('server_error')
    expect(secrets.mask(detail)).toBeString()
  })

  test('without a challenge of a proxy in a header that never ends', () => {
    const headers = { 'www-authenticate': `Bearer x="${'\\"'.repeat(400_000)}` }
    expect(errorFor(answer(401, { detail: 'no' }, headers), OPEN).code).toBe('bad_response')
  })

  test('is not quoted where it repeats a secret', () => {
    expect(serverWords(answer(422, { detail: 'correct horse is wrong' }), SECRET)).toBeUndefined()
  })

  test('of any kind becomes an error and is never thrown over', () =>
    fc.assert(
      fc.property(fc.integer({ min: 201, max: 599 }), fc.oneof(fc.json(), fc.string()), (status, body) => {
        expect(loginError(answer(status, body), OPEN)).toBeInstanceOf(AtlasError)
        expect(errorFor(answer(status, body), OPEN)).toBeInstanceOf(AtlasError)
        expect(apiError(answer(status, body), OPEN)).toBeInstanceOf(AtlasError)
        expect(typeof isRefusal(answer(status, body))).toBe('boolean')
      }),
      { numRuns: forRun({ short: 200, full: 1_000 }) },
    ))
})
