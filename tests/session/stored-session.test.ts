import { describe, expect, test } from 'bun:test'
import type { Lock } from '../../lib/files/lock.ts'
import { encodeRecord, type Session } from '../../lib/session/record.ts'
import { createStoredSession } from '../../lib/session/stored-session.ts'
import type { CredentialStore } from '../../lib/store/store.ts'
import { createSecrets } from '../../lib/terminal/secrets.ts'
import { startAtlasServer } from '../support/atlas-server.ts'
import { codeOf, createSessionKit } from '../support/session-kit.ts'

const API_URL = 'https://atlas.example.com'
const ACCOUNT = `default@${API_URL}`

const sessionOf = (email: string): Session => ({
  apiRoot: API_URL,
  email,
  accessToken: `access-${email}`,
  refreshToken: `refresh-${email}`,
  expiresAt: null,
  sessionExpiresAt: null,
})

/** A stored session whose record, config entry and lock are in a test's hand. */
function setUp(stored: string | undefined, listed: string | null | undefined) {
  const world = { stored, listed, locks: 0, whenLocked: () => {}, whenRead: () => {} }
  const store: CredentialStore = {
    kind: 'keychain',
    location: 'the keychain',
    lockFolder: '/nowhere',
    check: async () => {},
    prove: async () => () => {},
    async read() {
      const record = world.stored && encodeRecord(ACCOUNT, sessionOf(world.stored))
      world.whenRead()
      return record
    },
    write: async () => {},
    delete: async () => true,
  }
  const lock: Lock = {
    async hold(work) {
      world.locks++
      world.whenLocked()
      return work({ id: 'x', madeAt: new Date(0), stillExcludes: () => true })
    },
  }
  const session = createStoredSession({
    profile: 'default',
    apiUrl: API_URL,
    store,
    lock,
    secrets: createSecrets(),
    now: () => new Date(),
    loginCommand: 'atlas auth login',
    elsewhere: () => undefined,
    noteEnd: async () => {},
    listedEmail: () => world.listed,
  })
  return Object.assign(world, { session })
}

const ADA = 'ada@example.com'
const BOB = 'bob@example.com'

describe('the account of a stored session', () => {
  const CASES: [stored: string | undefined, listed: string | null | undefined, result: string | undefined][] =
    [
      [ADA, ADA, ADA],
      [ADA, undefined, ADA],
      [undefined, ADA, undefined],
      [undefined, null, undefined],
      [BOB, ADA, 'not_logged_in'],
      // The server compares e-mails with case.
      ['Ada@example.com', ADA, 'not_logged_in'],
      [BOB, null, 'not_logged_in'],
    ]
  test.each(CASES)('account: stored %p, listed %p: %p', async (stored, listed, result) => {
    const { session } = setUp(stored, listed)
    const found = await session.read().catch(({ code }) => ({ email: code }))
    expect(found?.email).toBe(result as string)
  })

  test('account: what is stored of another account can still be looked at, for login and logout', async () => {
    const { session } = setUp(BOB, ADA)
    expect((await session.readOrDamaged())?.email).toBe(BOB)
  })

  test('account: a login in the same folder that has stored its session and not yet listed it is waited for', async () => {
    const world = setUp(BOB, ADA)
    world.whenLocked = () => {
      world.listed = BOB
    }
    expect((await world.session.read())?.email).toBe(BOB)
    expect(world.locks).toBe(1)
  })

  test('account: a login in the same folder between the reading of the session and of the list is no error', async () => {
    const world = setUp(ADA, ADA)
    world.whenRead = () => Object.assign(world, { stored: BOB, listed: BOB })
    expect((await world.session.read())?.email).toBe(BOB)
  })

  test('account: a logout in the same folder that has deleted the session and not yet listed that is waited for', async () => {
    const world = setUp(ADA, null)
    world.whenLocked = () => {
      world.stored = undefined
    }
    expect(await codeOf(world.session.require())).toBe('not_logged_in')
    expect(await world.session.read()).toBeUndefined()
  })

  test('account: the lock is taken for nothing else', async () => {
    const world = setUp(ADA, ADA)
    await world.session.read()
    await world.session.require()
    expect(world.locks).toBe(0)
  })

  test('account: a run that holds the lock does not wait for itself', async () => {
    const world = setUp(BOB, ADA)
    const { session } = world
    expect(await codeOf(session.exclusively(() => session.require()))).toBe('not_logged_in')
    expect(world.locks).toBe(1)
  })

  test.each([
    [ADA],
    [undefined],
  ])('account: a run goes on as nobody else, whatever is listed meanwhile (%p)', async listed => {
    const world = setUp(ADA, listed)
    await world.session.require()
    Object.assign(world, { stored: BOB, listed: BOB })
    expect(await codeOf(world.session.require())).toBe('not_logged_in')
    world.stored = ADA
    expect((await world.session.require()).email).toBe(ADA)
  })
})

test('account: a refresh whose session another login replaces meanwhile neither uses nor overwrites that one', async () => {
  await using server = await startAtlasServer({ rotate: true })
  using kit = createSessionKit({ apiRoot: server.apiRoot })
  const session = await kit.logIn(ADA, 'correct horse')
  const held = server.hold('POST /auth/refresh')
  const refreshing = codeOf(kit.refresh(session))
  await held.arrived
  const bobs = encodeRecord(kit.account, { ...sessionOf(BOB), apiRoot: server.apiRoot })
  await kit.store.write(kit.account, bobs)
  held.release()
  expect(await refreshing).toBe('not_logged_in')
  expect(await kit.record()).toBe(bobs)
})
