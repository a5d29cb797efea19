import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import {
  type ConfigFile,
  type Login,
  loginAt,
  parseConfigFile,
  profilesOf,
  readConfigFile,
  withLogin,
  withoutRecord,
  writeConfigFile,
} from '../../lib/config/file.ts'
import { possibleApiRoots } from '../../lib/config/server.ts'
import { PROFILE_NAME, STORE_KINDS } from '../../lib/config/values.ts'
import { AtlasError } from '../../lib/errors.ts'
import { forRun } from '../support/needs.ts'

const FILE = '/config.json'
const EMPTY: ConfigFile = { currentProfile: undefined, logins: [] }

const temporaryFolder = () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-config-'))
  return { folder, [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }) }
}

const name = fc.oneof(
  fc.stringMatching(PROFILE_NAME),
  fc.constantFrom('__proto__', 'constructor', 'toString', '.', '..', '-'),
)
const login: fc.Arbitrary<Login> = fc
  .constantFrom('http://localhost:8000', 'https://a.example', 'https://b.example/atlas')
  .chain(apiUrl =>
    fc.record({
      profile: name,
      apiUrl: fc.constant(apiUrl),
      apiRoot: fc.constantFrom(undefined, ...possibleApiRoots(apiUrl)),
      store: fc.constantFrom(...STORE_KINDS),
      email: fc.option(fc.string({ unit: 'grapheme' })),
    }),
  )
const configFile: fc.Arbitrary<ConfigFile> = fc.record({
  currentProfile: fc.option(name, { nil: undefined }),
  logins: fc.array(login),
})

test('what is written is read again, whatever profiles are called', () => {
  using place = temporaryFolder()
  fc.assert(
    fc.property(configFile, content => {
      writeConfigFile(place.folder, content)
      expect(readConfigFile(place.folder)).toEqual(content)
    }),
    { numRuns: 50 },
  )
  expect(fs.readdirSync(place.folder)).toEqual(['config.json'])
})

test('what is too large to be read again is not written', () => {
  using place = temporaryFolder()
  writeConfigFile(place.folder, EMPTY)
  const large: Login = {
    profile: 'a',
    apiUrl: 'https://a.example',
    store: 'file',
    email: 'a'.repeat(1024 * 1024),
  }
  expect(() => writeConfigFile(place.folder, withLogin(EMPTY, large))).toThrow(
    `The config file ${path.join(place.folder, 'config.json')} could not be written: it would be larger than 1048576 bytes.`,
  )
  expect(readConfigFile(place.folder)).toEqual(EMPTY)
})

test('an absent file is an empty one', () => {
  using place = temporaryFolder()
  expect(readConfigFile(place.folder)).toEqual(EMPTY)
  expect(readConfigFile(path.join(place.folder, 'missing'))).toEqual(EMPTY)
})

test('what a newer version wrote beside it is no hindrance', () => {
  expect(parseConfigFile('{"colour":"blue"}', FILE)).toEqual(EMPTY)
})

test('a URL edited by hand is read as a login would have written it', () => {
  const text = '{"logins":[{"profile":"a","api_url":"HTTPS://A.Example:443/","store":"file"}]}'
  expect(parseConfigFile(text, FILE).logins).toEqual([
    { profile: 'a', apiUrl: 'https://a.example', store: 'file', email: null },
  ])
})

describe('one login per profile and server:', () => {
  const at = (profile: string, apiUrl: string, rest: Partial<Login> = {}): Login => ({
    profile,
    apiUrl,
    store: 'keychain',
    email: 'ada@example.com',
    ...rest,
  })
  const three = [
    at('home', 'https://a.example'),
    at('work', 'https://b.example'),
    at('home', 'https://c.example', { store: 'file' }),
  ].reduce(withLogin, EMPTY)

  test('a profile stands for its newest login, and the last one made its profile current', () => {
    expect([...profilesOf(three)].map(([name, { apiUrl }]) => [name, apiUrl])).toEqual([
      ['home', 'https://c.example'],
      ['work', 'https://b.example'],
    ])
    expect(three.currentProfile).toBe('home')
  })

  test('a login replaces the older one in the same store and is the newest', () => {
    const again = at('home', 'https://a.example', { email: 'eve@example.com' })
    expect(withLogin({ ...three, currentProfile: 'work' }, again)).toEqual({
      currentProfile: 'home',
      logins: [...three.logins.slice(1), again],
    })
  })

  test('an older login in another store is listed until its record is deleted', () => {
    const again = at('home', 'https://a.example', { store: 'file', email: 'eve@example.com' })
    const both = withLogin(three, again)
    expect(both.logins).toEqual([...three.logins, again])
    expect(withoutRecord(both, at('home', 'https://a.example')).logins).toEqual([
      ...three.logins.slice(1),
      again,
    ])
  })

  test('a logout forgets who it was, and neither the server nor the other logins', () => {
    const after = withoutRecord(three, at('home', 'https://c.example', { store: 'file' }))
    expect(after.logins.map(({ email }) => email)).toEqual(['ada@example.com', 'ada@example.com', null])
    expect(loginAt(after, 'home', 'https://c.example')?.store).toBe('file')
    expect(withoutRecord(three, at('work', 'https://c.example'))).toEqual(three)
  })
})

describe('a file that atlas did not write is refused with what is wrong:', () => {
  const good = { profile: 'a', api_url: 'https://a.example', store: 'file', email: null }
  const cannotBeUsed = (reason: string): string => `The config file ${FILE} cannot be used: ${reason}.`
  const BAD: [text: unknown, message: string][] = [
    ['', cannotBeUsed('it is not a JSON object')],
    ['{', cannotBeUsed('it is not a JSON object')],
    ['null', cannotBeUsed('it is not a JSON object')],
    ['[]', cannotBeUsed('it is not a JSON object')],
    ['"x"', cannotBeUsed('it is not a JSON object')],
    [{ current_profile: null }, cannotBeUsed('"current_profile" is not a string')],
    [{ current_profile: 'a b' }, '"current_profile" in /config.json is "a b", which is not a profile name.'],
    [{ logins: {} }, cannotBeUsed('"logins" is not a list')],
    [{ logins: null }, cannotBeUsed('"logins" is not a list')],
    [{ logins: [null] }, cannotBeUsed('"logins[0]" is not an object')],
    [
      { logins: [{ ...good, profile: 'a b' }] },
      '"logins[0].profile" in /config.json is "a b", which is not a profile name.',
    ],
    [{ logins: [good, { ...good, profile: 1 }] }, cannotBeUsed('"logins[1].profile" is not a string')],
    [{ logins: [{ ...good, api_url: 1 }] }, cannotBeUsed('"logins[0].api_url" is not a string')],
    [
      { logins: [{ ...good, api_url: 'ftp://a' }] },
      '"logins[0].api_url" in /config.json is not a usable server URL.',
    ],
    [
      { logins: [{ ...good, store: 'disk' }] },
      '"logins[0].store" in /config.json is "disk", which is not a credential store.',
    ],
    [{ logins: [{ ...good, email: 1 }] }, cannotBeUsed('"logins[0].email" is not a string')],
  ]
  test.each(BAD)('%j', (content, message) => {
    const text = typeof content === 'string' ? content : JSON.stringify(content)
    expect(refusal(() => parseConfigFile(text, FILE))).toBe(message)
  })

  test('anything else', () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc
            .record({ current_profile: fc.jsonValue(), logins: fc.jsonValue() }, { requiredKeys: [] })
            .map(value => JSON.stringify(value)),
        ),
        text => {
          try {
            const { logins } = parseConfigFile(text, FILE)
            for (const { apiUrl } of logins) expect(URL.canParse(apiUrl)).toBe(true)
          } catch (error) {
            if (!(error instanceof AtlasError)) throw error
            expect(error.code).toBe('usage')
          }
        },
      ),
      { numRuns: forRun({ short: 400, full: 2_000 }) },
    ))

  test('a folder, a pipe, and 2 GiB in its place', () => {
    const PLACES: [place: (file: string) => unknown, reason: string][] = [
      [fs.mkdirSync, 'a folder is in its place'],
      [file => Bun.spawnSync(['mkfifo', file]), 'it is not a regular file'],
      [file => Bun.spawnSync(['truncate', '-s', '2G', file]), 'it is too large (2147483648 bytes)'],
    ]
    for (const [put, reason] of PLACES) {
      using place = temporaryFolder()
      put(path.join(place.folder, 'config.json'))
      expect(refusal(() => readConfigFile(place.folder))).toEndWith(`cannot be used: ${reason}.`)
    }
  })
})

function refusal(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    return error instanceof AtlasError && error.code === 'usage' ? error.message : String(error)
  }
  return 'no error'
}
