import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import {
  type ConfigFile,
  PROFILE_NAME,
  parseConfigFile,
  readConfigFile,
  STORE_KINDS,
  writeConfigFile,
} from '../../lib/config/file.ts'
import { AtlasError } from '../../lib/errors.ts'

const FILE = '/config.json'
const EMPTY: ConfigFile = { currentProfile: undefined, profiles: new Map(), sessions: [] }

const temporaryFolder = () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-config-'))
  return { folder, [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }) }
}

const name = fc.oneof(
  fc.stringMatching(PROFILE_NAME),
  fc.constantFrom('__proto__', 'constructor', 'toString', '.', '..', '-'),
)
const target = {
  apiUrl: fc.constantFrom('http://localhost:8000', 'https://a.example', 'https://b.example/api/v1'),
  store: fc.constantFrom(...STORE_KINDS),
}
const configFile: fc.Arbitrary<ConfigFile> = fc.record({
  currentProfile: fc.option(name, { nil: undefined }),
  profiles: fc
    .array(fc.tuple(name, fc.record({ ...target, email: fc.option(fc.string({ unit: 'grapheme' })) })))
    .map(entries => new Map(entries)),
  sessions: fc.array(fc.record({ profile: name, ...target })),
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
  const profile = { apiUrl: 'https://a.example', store: 'file', email: 'a'.repeat(1024 * 1024) } as const
  expect(() => writeConfigFile(place.folder, { ...EMPTY, profiles: new Map([['a', profile]]) })).toThrow(
    `The config file ${path.join(place.folder, 'config.json')} would be larger than 1048576 bytes.`,
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
  const text = '{"profiles":{"a":{"api_url":"HTTPS://A.Example:443/","store":"file"}}}'
  expect(parseConfigFile(text, FILE).profiles.get('a')).toEqual({
    apiUrl: 'https://a.example',
    store: 'file',
    email: null,
  })
})

describe('a file that atlas did not write is refused with what is wrong:', () => {
  const good = { api_url: 'https://a.example', store: 'file', email: null }
  const BAD: [text: unknown, reason: string][] = [
    ['', 'it is not valid JSON'],
    ['{', 'it is not valid JSON'],
    ['null', 'it is not a JSON object'],
    ['[]', 'it is not a JSON object'],
    ['"x"', 'it is not a JSON object'],
    [{ current_profile: null }, '"current_profile" is not a profile name'],
    [{ current_profile: 'a b' }, '"current_profile" is not a profile name'],
    [{ profiles: [] }, '"profiles" is not an object'],
    [{ profiles: null }, '"profiles" is not an object'],
    [{ profiles: { 'a b': good } }, '"profiles" has a name that is not a profile name'],
    [{ profiles: { a: null } }, '"profiles.a" is not an object'],
    [{ profiles: { a: { ...good, api_url: 1 } } }, '"profiles.a.api_url" is not a string'],
    [{ profiles: { a: { ...good, api_url: 'ftp://a' } } }, '"profiles.a.api_url" is not a usable server URL'],
    [{ profiles: { a: { ...good, store: 'disk' } } }, '"profiles.a.store" is none of keychain, kernel, file'],
    [{ profiles: { a: { ...good, email: 1 } } }, '"profiles.a.email" is not a string'],
    [{ sessions: {} }, '"sessions" is not a list'],
    [{ sessions: [null] }, '"sessions[0]" names no profile'],
    [
      { sessions: [{ profile: 'a', ...good, api_url: 'x' }] },
      '"sessions[0].api_url" is not a usable server URL',
    ],
    [{ sessions: [{ profile: 'a', ...good }, { profile: 1 }] }, '"sessions[1]" names no profile'],
  ]
  test.each(BAD)('%j', (content, reason) => {
    const text = typeof content === 'string' ? content : JSON.stringify(content)
    expect(refusal(() => parseConfigFile(text, FILE))).toBe(
      `The config file ${FILE} cannot be used: ${reason}.`,
    )
  })

  test('anything else', () =>
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc
            .record(
              { current_profile: fc.jsonValue(), profiles: fc.jsonValue(), sessions: fc.jsonValue() },
              { requiredKeys: [] },
            )
            .map(value => JSON.stringify(value)),
        ),
        text => {
          try {
            const { profiles } = parseConfigFile(text, FILE)
            for (const { apiUrl } of profiles.values()) expect(URL.canParse(apiUrl)).toBe(true)
          } catch (error) {
            if (!(error instanceof AtlasError)) throw error
            expect(error.code).toBe('usage')
          }
        },
      ),
      { numRuns: 2_000 },
    ))

  test('a folder, a pipe, and 2 GiB in its place', () => {
    const PLACES: [place: (file: string) => unknown, reason: string][] = [
      [fs.mkdirSync, 'it is not a regular file'],
      [file => Bun.spawnSync(['mkfifo', file]), 'it is not a regular file'],
      [file => Bun.spawnSync(['truncate', '-s', '2G', file]), 'it is larger than 1048576 bytes'],
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
