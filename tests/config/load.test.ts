import { describe, expect, test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import fc from 'fast-check'
import { Flags } from '../../lib/cli/flags.ts'
import { type Config, configFolder, type Environment, loadConfig } from '../../lib/config/load.ts'
import { isToken } from '../../lib/config/values.ts'
import { AtlasError } from '../../lib/errors.ts'
import { forRun } from '../support/needs.ts'

/** Flags as typed, by name; `true` for a switch. */
type Typed = Readonly<Record<string, string | true>>

/** A config folder with one profile, and what is read from it. */
function surroundings(content?: unknown) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-config-'))
  const file = path.join(folder, 'config.json')
  if (content !== undefined) fs.writeFileSync(file, JSON.stringify(content))
  return {
    file,
    load: (flags: Typed = {}, env: Environment = {}, interactive = false): Config =>
      loadConfig(given(flags), {
        env: { ATLAS_CONFIG_DIR: folder, ...env },
        platform: 'linux',
        homeFolder: '/home/ada',
        interactive,
      }),
    [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }),
  }
}

const given = (flags: Typed): Flags =>
  new Flags(new Map(Object.entries(flags).map(([name, text]) => [name, text === true ? [] : [text]])))

const REMEMBERED = {
  current_profile: 'work',
  logins: [
    { profile: 'work', api_url: 'https://other.example', store: 'keychain', email: 'ada@example.com' },
    { profile: 'work', api_url: 'https://work.example', store: 'file', email: null },
  ],
}

describe('a value comes from', () => {
  test('nowhere, where nothing is said', () => {
    using here = surroundings()
    const { folder, file, ...rest } = here.load()
    const byDefault = <T>(value: T) => ({ value, source: 'default', from: 'default' })
    expect(rest as unknown).toEqual({
      profile: byDefault('default'),
      apiUrl: byDefault('http://localhost:8000'),
      store: byDefault('keychain'),
      accessToken: byDefault(undefined),
      timeoutMs: byDefault(30_000),
      keychainTimeoutMs: byDefault(3_000),
      allowHttp: byDefault(false),
      mayAsk: byDefault(false),
      keychainMayAsk: true,
      debug: byDefault(false),
    })
    expect(file).toEqual({ currentProfile: undefined, logins: [] })
  })

  type Name = Exclude<keyof Config, 'file' | 'folder'>
  const GIVEN: [
    name: Name,
    flags: Typed,
    flag: string | undefined,
    byFlag: unknown,
    variable: string,
    text: string,
    byVariable: unknown,
  ][] = [
    [
      'apiUrl',
      { 'api-url': 'https://A.example/' },
      '--api-url',
      'https://a.example',
      'ATLAS_API_URL',
      'https://b.example',
      'https://b.example',
    ],
    ['profile', { profile: 'a' }, '--profile', 'a', 'ATLAS_PROFILE', 'b', 'b'],
    ['timeoutMs', { timeout: '2.5' }, '--timeout', 2_500, 'ATLAS_TIMEOUT', '.5', 500],
    ['store', { store: 'file' }, '--store', 'file', 'ATLAS_CREDENTIAL_STORE', 'auto', 'keychain'],
    ['allowHttp', { 'allow-http': true }, '--allow-http', true, 'ATLAS_ALLOW_HTTP', '1', true],
    ['debug', { debug: true }, '--debug', true, 'ATLAS_DEBUG', 'yes', true],
    ['keychainTimeoutMs', {}, undefined, undefined, 'ATLAS_KEYCHAIN_TIMEOUT', '7', 7_000],
    ['accessToken', {}, undefined, undefined, 'ATLAS_ACCESS_TOKEN', 'token', 'token'],
  ]
  test.each(
    GIVEN,
  )('%s: a flag, else the environment, which beat the file', (name, flags, flag, byFlag, variable, text, byVariable) => {
    using here = surroundings(REMEMBERED)
    const fromEnvironment = { value: byVariable, source: 'environment', from: variable }
    expect(here.load({}, { [variable]: text })[name] as unknown).toEqual(fromEnvironment)
    if (flag !== undefined)
      expect(here.load(flags, { [variable]: text })[name] as unknown).toEqual({
        value: byFlag,
        source: 'flag',
        from: flag,
      })
    expect(here.load({}, { [variable]: '' })[name]).toEqual(here.load()[name])
  })

  test('the file, which remembers each profile and the store of each login', () => {
    using here = surroundings(REMEMBERED)
    const inFile = <T>(value: T) => ({ value, source: 'file', from: here.file })
    const { profile, apiUrl, store } = here.load()
    expect({ profile, apiUrl, store } as unknown).toEqual({
      profile: inFile('work'),
      apiUrl: inFile('https://work.example'),
      store: inFile('file'),
    })
    expect(here.load({ 'api-url': 'https://other.example' }).store as unknown).toEqual(inFile('keychain'))
    expect(here.load({ 'api-url': 'https://third.example' }).store as unknown).toEqual(inFile('file'))
    expect(here.load({ profile: 'home' }).apiUrl.source).toBe('default')
  })

  test('whoever is there to answer', () => {
    using here = surroundings()
    const asked = (flags: Typed, env: Environment, interactive: boolean) => {
      const { mayAsk, keychainTimeoutMs } = here.load(flags, env, interactive)
      return [mayAsk.value, mayAsk.from, keychainTimeoutMs.value]
    }
    expect(asked({}, {}, true)).toEqual([true, 'default', 60_000])
    expect(asked({}, {}, false)).toEqual([false, 'default', 3_000])
    expect(asked({ 'no-input': true }, {}, true)).toEqual([false, '--no-input', 3_000])
    expect(asked({}, { ATLAS_NO_INPUT: '1' }, true)).toEqual([false, 'ATLAS_NO_INPUT', 3_000])
    expect(asked({}, { ATLAS_NO_INPUT: '0' }, true)).toEqual([true, 'ATLAS_NO_INPUT', 60_000])
  })

  test('nothing that changes later', () => {
    using here = surroundings()
    expect(Object.isFrozen(here.load())).toBe(true)
  })
})

describe('a bad value is refused by the name of its source:', () => {
  const BAD: [variable: string, flag: string | undefined, values: string[]][] = [
    [
      'ATLAS_API_URL',
      '--api-url',
      [
        'atlas',
        'ftp://a',
        'https://',
        'https://u@a',
        'https://a?b',
        'https://a#b',
        'https://a b',
        '//a',
        'https:a',
        'https://u:p@a',
        'https://a\\b',
        ' https://a',
      ],
    ],
    [
      'ATLAS_TIMEOUT',
      '--timeout',
      ['0', '-1', '1e3', 'soon', '1s', '86401', 'Infinity', 'NaN', '1,5', '0x10', '.', ' 1'],
    ],
    ['ATLAS_KEYCHAIN_TIMEOUT', undefined, ['0', 'x']],
    ['ATLAS_PROFILE', '--profile', ['a b', 'ä', 'a/b', 'a@b', 'x'.repeat(65), '#']],
    ['ATLAS_CREDENTIAL_STORE', '--store', ['disk', 'FILE', 'keychain ', 'kernel']],
    ['ATLAS_ALLOW_HTTP', undefined, ['2', 'maybe']],
    ['ATLAS_NO_INPUT', undefined, ['2']],
    ['ATLAS_DEBUG', undefined, ['2']],
    ['ATLAS_ACCESS_TOKEN', undefined, ['a b', 'a\n', 'ä', 'x'.repeat(65_537)]],
  ]
  test.each(BAD)('%s', (variable, flag, values) => {
    using here = surroundings()
    for (const value of values) {
      expect(refusal(() => here.load({}, { [variable]: value }))).toStartWith(`usage: ${variable} is `)
      if (flag) expect(refusal(() => here.load({ [flag.slice(2)]: value }))).toStartWith(`usage: ${flag} is `)
    }
    if (flag) expect(refusal(() => here.load({ [flag.slice(2)]: '' }))).toStartWith(`usage: ${flag} is `)
  })

  test('a token is not repeated', () => {
    using here = surroundings()
    expect(refusal(() => here.load({}, { ATLAS_ACCESS_TOKEN: 's3cret token' }))).not.toContain('s3cret')
  })

  test('whatever the environment holds', () => {
    using here = surroundings()
    const variable = fc.constantFrom(...BAD.map(([name]) => name))
    fc.assert(
      fc.property(fc.dictionary(variable, fc.string({ unit: 'binary' })), env => {
        try {
          const { timeoutMs, apiUrl, accessToken } = here.load({}, env)
          expect(timeoutMs.value).toBeGreaterThan(0)
          expect(new URL(apiUrl.value).username).toBe('')
          expect(accessToken.value === undefined || isToken(accessToken.value)).toBe(true)
        } catch (error) {
          if (!(error instanceof AtlasError)) throw error
          expect(error.code).toBe('usage')
        }
      }),
      { numRuns: forRun({ short: 200, full: 1_000 }) },
    )
  })
})

function refusal(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    return error instanceof AtlasError ? `${error.code}: ${error.message}` : String(error)
  }
  return 'no error'
}

describe('the config folder', () => {
  const LINUX = '/home/ada'
  const WINDOWS = 'C:\\Users\\ada'
  const FOLDERS: [platform: NodeJS.Platform, home: string, env: Environment, folder: string, from: string][] =
    [
      ['linux', LINUX, {}, '/home/ada/.config/atlas', 'default'],
      ['linux', LINUX, { XDG_CONFIG_HOME: '' }, '/home/ada/.config/atlas', 'default'],
      ['linux', LINUX, { XDG_CONFIG_HOME: '/xdg' }, '/xdg/atlas', 'XDG_CONFIG_HOME'],
      ['linux', LINUX, { XDG_CONFIG_HOME: '/xdg', ATLAS_CONFIG_DIR: '/own' }, '/own', 'ATLAS_CONFIG_DIR'],
      ['linux', LINUX, { APPDATA: 'C:\\x' }, '/home/ada/.config/atlas', 'default'],
      ['darwin', '/Users/ada', {}, '/Users/ada/.config/atlas', 'default'],
      ['win32', WINDOWS, {}, 'C:\\Users\\ada\\AppData\\Roaming\\atlas', 'default'],
      ['win32', WINDOWS, { APPDATA: 'D:\\Roaming' }, 'D:\\Roaming\\atlas', 'APPDATA'],
      ['win32', WINDOWS, { XDG_CONFIG_HOME: '/xdg' }, 'C:\\Users\\ada\\AppData\\Roaming\\atlas', 'default'],
      ['win32', WINDOWS, { APPDATA: 'D:\\R', ATLAS_CONFIG_DIR: 'E:\\own' }, 'E:\\own', 'ATLAS_CONFIG_DIR'],
    ]
  test.each(FOLDERS)('on %s below %s with %j is %s', (platform, homeFolder, env, folder, from) => {
    const { value, from: said } = configFolder({ platform, homeFolder, env, interactive: false })
    expect({ value, said }).toEqual({ value: folder, said: from })
  })

  const RELATIVE: [platform: NodeJS.Platform, home: string, env: Environment, named: string][] = [
    ['linux', LINUX, { ATLAS_CONFIG_DIR: 'own' }, 'ATLAS_CONFIG_DIR'],
    ['linux', LINUX, { XDG_CONFIG_HOME: './xdg' }, 'XDG_CONFIG_HOME'],
    ['linux', LINUX, { ATLAS_CONFIG_DIR: '~/own' }, 'ATLAS_CONFIG_DIR'],
    ['linux', 'home', {}, 'The home folder'],
    ['win32', WINDOWS, { APPDATA: 'Roaming' }, 'APPDATA'],
    ['win32', WINDOWS, { ATLAS_CONFIG_DIR: 'C:own' }, 'ATLAS_CONFIG_DIR'],
  ]
  test('that nothing names is asked for', () => {
    const surroundings = { platform: 'linux', homeFolder: undefined, env: {}, interactive: false } as const
    expect(refusal(() => configFolder(surroundings))).toStartWith(
      'usage: HOME is not set, and the user database has no home folder for this user.',
    )
  })

  test.each(
    RELATIVE,
  )('on %s below %s with %j is refused: it depends on the current directory', (platform, homeFolder, env, named) => {
    expect(refusal(() => configFolder({ platform, homeFolder, env, interactive: false }))).toStartWith(
      `usage: ${named} is not an absolute path`,
    )
  })
})
