import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { resolveRequestUrl } from '../../lib/config/server.ts'
import {
  correctForClock,
  decodeRecord,
  encodeRecord,
  endsWithin,
  isCookieValue,
  type Session,
} from '../../lib/session/record.ts'
import { DamagedRecord } from '../../lib/store/store.ts'
import { forRun } from '../support/needs.ts'

const API_URL = 'https://atlas.example.com'
const ACCOUNT = `default@${API_URL}`
const SESSION: Session = {
  apiRoot: `${API_URL}/api/v1`,
  email: 'ada@example.com',
  accessToken: 'access',
  refreshToken: 'refresh',
  expiresAt: new Date('2026-03-04T05:06:07Z'),
  sessionExpiresAt: null,
}
const FIELDS = JSON.parse(encodeRecord(ACCOUNT, SESSION)) as Record<string, unknown>
const decode = (fields: unknown): Session =>
  decodeRecord(ACCOUNT, API_URL, typeof fields === 'string' ? fields : JSON.stringify(fields))

const token = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map(code => String.fromCharCode(code)),
  minLength: 1,
})
const moment = fc.option(fc.date({ noInvalidDate: true }))

test('a session comes back as it was', () =>
  fc.assert(
    fc.property(
      fc.record<Session>({
        apiRoot: fc.constantFrom(API_URL, `${API_URL}/api/v1`),
        email: fc.string({ unit: 'grapheme' }),
        accessToken: token,
        refreshToken: fc.option(token.filter(isCookieValue)),
        expiresAt: moment,
        lifetimeMs: fc.integer({ min: 0 }).map(seconds => seconds * 1000),
        sessionExpiresAt: moment,
      }),
      session => {
        expect(decodeRecord(ACCOUNT, API_URL, encodeRecord(ACCOUNT, session))).toEqual(session)
      },
    ),
  ))

describe('an access token that lives for half an hour', () => {
  const NOW = new Date('2026-03-04T05:06:07Z')
  const inMinutes = (minutes: number): Date => new Date(NOW.getTime() + minutes * 60_000)
  const ENDS: [minutes: number, lifetimeMs: number | undefined, correctForClockMinutes: number][] = [
    [-1, 1_800_000, -1],
    [30, 1_800_000, 30],
    [31, 1_800_000, 31],
    [31.1, 1_800_000, 0],
    [57_600, 1_800_000, 0],
    [57_600, undefined, 57_600],
  ]
  test.each(
    ENDS,
  )('ends in %d minutes by a record of its lifetime %p: in %d', (ends, lifetimeMs, expected) => {
    const session = {
      ...SESSION,
      expiresAt: inMinutes(ends),
      ...(lifetimeMs !== undefined && { lifetimeMs }),
    }
    expect(correctForClock(decode(encodeRecord(ACCOUNT, session)), NOW)).toEqual({
      ...session,
      expiresAt: inMinutes(expected),
    })
  })
})

describe('what is no record of the account is damage, not absence:', () => {
  const DAMAGED: [what: string, fields: unknown][] = [
    ['nothing', ''],
    ['no JSON', 'hunter2'],
    ['half a record', JSON.stringify(FIELDS).slice(0, 80)],
    ['null', 'null'],
    ['a list', '[]'],
    ['a string', '"x"'],
    ['an empty object', {}],
    ['another version', { ...FIELDS, version: 2 }],
    ['a version as text', { ...FIELDS, version: '1' }],
    ['another account', { ...FIELDS, account: 'work@https://atlas.example.com' }],
    ['an API root elsewhere', { ...FIELDS, api_root: 'https://evil.example/api/v1' }],
    ['an API root with a port', { ...FIELDS, api_root: 'https://atlas.example.com:8443' }],
    ['an API root over http', { ...FIELDS, api_root: 'http://atlas.example.com' }],
    ['an API root that hides the host', { ...FIELDS, api_root: 'https://atlas.example.com@evil.example' }],
    ['an API root with a user', { ...FIELDS, api_root: 'https://ada@atlas.example.com' }],
    ['an API root with a query', { ...FIELDS, api_root: 'https://atlas.example.com/?x=' }],
    ['an API root with a fragment', { ...FIELDS, api_root: 'https://atlas.example.com/#' }],
    ['an API root that is no URL', { ...FIELDS, api_root: '/api/v1' }],
    ['no API root', { ...FIELDS, api_root: null }],
    ['no e-mail', { ...FIELDS, email: null }],
    ['no access token', { ...FIELDS, access_token: null }],
    ['an empty access token', { ...FIELDS, access_token: '' }],
    ['an access token with a line break', { ...FIELDS, access_token: 'a\r\nb' }],
    ['a refresh token with a semicolon', { ...FIELDS, refresh_token: 'a; b' }],
    ['an empty refresh token', { ...FIELDS, refresh_token: '' }],
    ['a refresh token that is missing', { ...FIELDS, refresh_token: undefined }],
    ['a time that is none', { ...FIELDS, expires_at: 'soon' }],
    ['a time that is a number', { ...FIELDS, expires_at: 1 }],
    ['a time that is missing', { ...FIELDS, session_expires_at: undefined }],
  ]
  test.each(DAMAGED)('%s', (_, fields) => {
    expect(() => decode(fields)).toThrow(DamagedRecord)
  })

  test('anything else', () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc
            .dictionary(
              fc.constantFrom(...Object.keys(FIELDS)),
              fc.oneof(fc.webUrl(), fc.string(), fc.jsonValue()),
            )
            .map(changes => JSON.stringify({ ...FIELDS, ...changes })),
          fc.tuple(fc.nat(), fc.string({ maxLength: 3 })).map(([at, text]) => {
            const record = JSON.stringify(FIELDS)
            return record.slice(0, at % record.length) + text + record.slice(at % record.length)
          }),
        ),
        text => {
          try {
            const { accessToken, refreshToken, apiRoot, expiresAt } = decode(text)
            expect(accessToken).toMatch(/^[\x21-\x7e]+$/)
            expect(refreshToken === null || isCookieValue(refreshToken)).toBe(true)
            expect(resolveRequestUrl(apiRoot, '/auth/me').origin).toBe(API_URL)
            expect(expiresAt?.getTime()).not.toBeNaN()
          } catch (error) {
            if (!(error instanceof DamagedRecord)) throw error
          }
        },
      ),
      { numRuns: forRun({ short: 600, full: 3_000 }) },
    ))
})

test('damage never repeats what is stored', () => {
  const secret = 'S3CRET-TOKEN'
  for (const fields of [secret, `{"access_token":"${secret}"`, { ...FIELDS, access_token: `${secret}\n` }]) {
    try {
      decode(fields)
      expect.unreachable()
    } catch (error) {
      const { message, hint } = error as DamagedRecord
      expect(`${message} ${hint}`).not.toContain(secret)
    }
  }
})

test.each([
  [null, 1_000, false],
  ['2026-03-04T05:06:06Z', 0, true],
  ['2026-03-04T05:06:07Z', 0, false],
  ['2026-03-04T05:06:36Z', 30_000, true],
  ['2026-03-04T05:06:37Z', 30_000, false],
])('%p ends within %d ms: %p', (time, ms, ends) => {
  expect(endsWithin(time === null ? null : new Date(time), ms, new Date('2026-03-04T05:06:07Z'))).toBe(ends)
})
