import { describe, expect, test } from 'bun:test'
import { keychainFailure, noAnswer } from '../../../lib/store/keychain/failures.ts'
import { describeKeychain, itemName } from '../../../lib/store/keychain/names.ts'
import { callKeychain } from '../../../lib/store/keychain/worker.ts'
import { secretServiceTest } from '../../support/needs.ts'
import { startSecretService } from '../../support/secret-service.ts'
import { callStore } from '../../support/store-driver.ts'

const userOf = (platform: NodeJS.Platform) => ({ platform, loginCommand: 'atlas auth login' })
const ACCOUNT = 'default@https://atlas.example.com'

describe('keychain failures', () => {
  // The Linux ones as the addon gave them; the others from the words of the platforms, and the addon's
  // own around them.
  const SAID: [message: string, tookMs: number, code: string][] = [
    [
      'Platform failure: DBus error: Using X11 for dbus-daemon autolaunch was disabled at compile time, set your DBUS_SESSION_BUS_ADDRESS instead',
      5,
      'store_unavailable',
    ],
    [
      'Platform failure: DBus error: Failed to connect to socket /nonexistent: No such file or directory',
      5,
      'store_unavailable',
    ],
    ['Platform failure: DBus error: Address does not contain a colon', 5, 'store_unavailable'],
    [
      'Platform failure: DBus error: The name org.freedesktop.secrets was not provided by any .service files',
      12,
      'store_unavailable',
    ],
    ["Couldn't access platform storage: Secret Service: no result found", 16, 'store_unavailable'],
    ['No DBus session or Secret Service provider found', 5, 'store_unavailable'],
    [
      'Platform failure: DBus error: Message recipient disconnected from message bus without replying',
      40,
      'store_unavailable',
    ],
    [
      'Platform failure: DBus error: Did not receive a reply. Possible causes include: the remote application did not send a reply, the message bus security policy blocked the reply, the reply timeout expired, or the network connection was broken.',
      19,
      'store_unavailable',
    ],
    [
      'Platform failure: DBus error: Did not receive a reply. Possible causes include: the remote application did not send a reply, the message bus security policy blocked the reply, the reply timeout expired, or the network connection was broken.',
      2_003,
      'store_timeout',
    ],
    ["Couldn't access platform storage: Secret Service: unlock prompt was dismissed", 60, 'store_locked'],
    ["Couldn't access platform storage: Secret Service: object locked", 5, 'store_locked'],
    ['Platform failure: DBus error: org.freedesktop.Secret.Error.IsLocked', 5, 'store_locked'],
    [
      'Platform failure: DBus error: Rejected send message, 2 matched rules; type="method_call"',
      5,
      'store_denied',
    ],
    [
      'Platform failure: DBus error: An AppArmor policy prevents this sender from sending this message to this recipient',
      5,
      'store_denied',
    ],
    ['Platform failure: DBus error: Sender is not authorized to send message', 5, 'store_denied'],
    [
      'Platform failure: DBus error: Failed to connect to socket /run/user/1000/bus: Permission denied',
      5,
      'store_denied',
    ],
    ["Couldn't access platform storage: AccessDenied", 5, 'store_denied'],
    ['Platform failure: QuotaExceeded', 5, 'store_unavailable'],
    ["Couldn't access platform storage: KeyRevoked", 5, 'store_unavailable'],
    ["Platform failure: DBus error: Couldn't set item secret", 5, 'store_unavailable'],
    [
      "Platform failure: DBus error: Couldn't create item: An error occurred on the device",
      5,
      'store_unavailable',
    ],
    [
      "Platform failure: DBus error: Couldn't delete collection: An error occurred on the device",
      5,
      'store_unavailable',
    ],
    // macOS: -25308, -25315, -25320, -25293, -128, -34018, -25307, -25291, -60008
    ['Platform failure: User interaction is not allowed.', 5, 'store_locked'],
    ['Platform failure: Interaction with the Security Server is not allowed.', 5, 'store_locked'],
    ['Platform failure: User interaction is required.', 5, 'store_locked'],
    ['Platform failure: In dark wake, no UI possible', 5, 'store_locked'],
    ['Platform failure: The user name or passphrase you entered is not correct.', 5, 'store_denied'],
    ['Platform failure: Authorization/Authentication failed.', 5, 'store_denied'],
    ['Platform failure: User canceled the operation.', 5, 'store_denied'],
    ["Platform failure: A required entitlement isn't present.", 5, 'store_denied'],
    ['Platform failure: A default keychain could not be found.', 5, 'store_unavailable'],
    [
      "Couldn't access platform storage: No keychain is available. You may need to restart your computer.",
      5,
      'store_unavailable',
    ],
    ['Platform failure: error code -60008', 5, 'store_unavailable'],
    // Windows
    ["Couldn't access platform storage: Windows ERROR_NO_SUCH_LOGON_SESSION", 5, 'store_unavailable'],
    ['Platform failure: Windows error code 5', 5, 'store_denied'],
    ['Platform failure: Windows error code 1223', 5, 'store_denied'],
    ['Platform failure: Windows error code 50', 5, 'store_unavailable'],
    ['Platform failure: Windows error code 1783', 5, 'store_unavailable'],
    ["'secret' is longer than the platform limit of 2560 characters", 5, 'store_unavailable'],
    ['', 5, 'store_unavailable'],
  ]
  test.each(SAID)('keychain: "%s" after %d ms is %s', (message, tookMs, code) => {
    expect(keychainFailure(message, tookMs, ACCOUNT, userOf('linux')).code).toBe(code as never)
  })
})

describe('keychain messages', () => {
  const WAYS_OUT =
    'use "atlas auth login --store file" (plain text, readable by you alone), or set ATLAS_ACCESS_TOKEN.'
  const told = (message: string, platform: NodeJS.Platform, tookMs = 5) => {
    const { code, message: says, hint } = keychainFailure(message, tookMs, ACCOUNT, userOf(platform))
    return [code, says, hint]
  }

  test('keychain: a failure quotes the platform and names the ways out', () => {
    expect(told('Platform failure: DBus error: Did not receive a reply. Possible causes…', 'linux')).toEqual([
      'store_unavailable',
      'The Secret Service keychain cannot be used (DBus error: Did not receive a reply).',
      `Start one (gnome-keyring, KWallet, KeePassXC), ${WAYS_OUT}`,
    ])
    expect(told('Platform failure: User interaction is not allowed.', 'darwin')).toEqual([
      'store_locked',
      'The macOS Keychain is locked (User interaction is not allowed).',
      `Unlock it and try again, ${WAYS_OUT}`,
    ])
    expect(told('Platform failure: Windows error code 5', 'win32')).toEqual([
      'store_denied',
      'The Windows Credential Manager refused access (Windows error code 5).',
      `Allow atlas to use it, ${WAYS_OUT}`,
    ])
  })

  test('keychain: one that cannot be written says what to do about it', () => {
    const CANNOT_WRITE = [
      "Platform failure: DBus error: Couldn't set item secret",
      "Platform failure: DBus error: Couldn't create item: An error occurred on the device",
      "Platform failure: DBus error: Couldn't delete collection: An error occurred on the device",
    ]
    for (const message of CANNOT_WRITE)
      expect(told(message, 'linux')).toEqual([
        'store_unavailable',
        `The Secret Service keychain cannot be written (${message.replace('Platform failure: ', '')}).`,
        `Make room on its disk, or make its folder writable (gnome-keyring: ~/.local/share/keyrings), ${WAYS_OUT}`,
      ])
  })

  test('keychain: a timeout says how long was waited, by atlas or by the library', () => {
    expect(noAnswer(2_500, userOf('linux')).message).toBe(
      'The Secret Service keychain did not answer within 2.5 s.',
    )
    expect(told('Platform failure: DBus error: Did not receive a reply. Possible…', 'linux', 2_013)[1]).toBe(
      'The Secret Service keychain did not answer within 2 s.',
    )
  })
})

test.each([
  ['linux', 'the Secret Service keychain'],
  ['freebsd', 'the Secret Service keychain'],
  ['darwin', 'the macOS Keychain'],
  ['win32', 'the Windows Credential Manager'],
] as const)('keychain: on %s it is called %s', (platform, name) => {
  expect(describeKeychain(platform)).toBe(name)
})

describe('item names', () => {
  test('keychain: on Windows, accounts that differ only in case have different items', () => {
    const names = ['work@https://a.example', 'Work@https://a.example', 'WORK@https://a.example/X'].map(
      account => itemName(account, 'win32').toLowerCase(),
    )
    expect(new Set(names).size).toBe(3)
    expect(names[0]).toBe('work@https://a.example')
  })
  test('keychain: elsewhere an item is named as its account', () => {
    expect(itemName('Work@https://a.example', 'darwin')).toBe('Work@https://a.example')
  })
})

/** An addon whose items are kept as bytes, and which deletes or does not. */
function fakeAddon({ deletes = true } = {}) {
  const items = new Map<string, Uint8Array>()
  const calls: string[] = []
  class Entry {
    readonly #name: string
    constructor(service: string, account: string, options: unknown) {
      this.#name = `${service} ${account} ${JSON.stringify(options)}`
    }
    getPassword(): string | null {
      calls.push('getPassword')
      const bytes = items.get(this.#name)
      return bytes === undefined ? null : new TextDecoder().decode(bytes)
    }
    setPassword(value: string): void {
      calls.push('setPassword')
      items.set(this.#name, Buffer.from(value))
    }
    getSecret(): Uint8Array | null {
      calls.push('getSecret')
      return items.get(this.#name) ?? null
    }
    setSecret(value: Uint8Array): void {
      calls.push('setSecret')
      items.set(this.#name, value)
    }
    deleteCredential(): boolean {
      return deletes ? items.delete(this.#name) : items.has(this.#name)
    }
  }
  return { addon: { Entry } as unknown as Parameters<typeof callKeychain>[0], items, calls }
}

describe('addon calls', () => {
  const request = (platform: NodeJS.Platform, operation: 'get' | 'set' | 'delete', value = '') => ({
    account: ACCOUNT,
    platform,
    operation,
    value,
  })
  const PLATFORMS: [NodeJS.Platform, set: string, get: string][] = [
    ['linux', 'setPassword', 'getPassword'],
    ['darwin', 'setPassword', 'getPassword'],
    ['win32', 'setSecret', 'getSecret'],
  ]
  test.each(PLATFORMS)('keychain: on %s it stores with %s and reads with %s', (platform, set, get) => {
    const { addon, calls } = fakeAddon()
    expect(callKeychain(addon, request(platform, 'get'))).toBeUndefined()
    expect(callKeychain(addon, request(platform, 'set', 'pässwörd 🔑'))).toBeUndefined()
    expect(callKeychain(addon, request(platform, 'get'))).toBe('pässwörd 🔑')
    expect(callKeychain(addon, request(platform, 'delete'))).toBe(true)
    expect(callKeychain(addon, request(platform, 'delete'))).toBe(false)
    expect([...new Set(calls)].sort()).toEqual([get, set])
  })

  test('keychain: pins the Secret Service, so that nothing falls back to another store', () => {
    const { addon, items } = fakeAddon()
    callKeychain(addon, request('linux', 'set', 'x'))
    expect([...items.keys()]).toEqual([`atlas-cli ${ACCOUNT} {"linux":{"store":"secret-service"}}`])
  })

  test('keychain: on macOS a deletion that left the item is an error', () => {
    const { addon } = fakeAddon({ deletes: false })
    callKeychain(addon, request('darwin', 'set', 'x'))
    const failed = () => callKeychain(addon, request('darwin', 'delete'))
    expect(failed).toThrow('access denied: the item could not be deleted')
    expect(
      keychainFailure('access denied: the item could not be deleted', 5, ACCOUNT, userOf('darwin')).code,
    ).toBe('store_denied')
  })

  test('keychain: on Windows an item that is not text is there, as a text that is not a record', () => {
    const { addon, items } = fakeAddon()
    callKeychain(addon, request('win32', 'set', 'x'))
    for (const name of items.keys()) items.set(name, new Uint8Array([0xff, 0xfe]))
    expect(callKeychain(addon, request('win32', 'get'))).toBe('\ufffd\ufffd')
  })
})

describe('a real Secret Service', () => {
  const RECORD = `{"email":"ädä@example.com","token":"${'t'.repeat(16_384)}"}`

  secretServiceTest('keychain: proving writes the item again as it is, and creates none', async () => {
    await using keychain = await startSecretService()
    for (const options of [{ platform: 'linux' }, { platform: 'win32' }] as const) {
      expect(
        await callStore(keychain.env, options, [
          ['prove', ACCOUNT],
          ['read', ACCOUNT],
        ]),
      ).toEqual([null, null])
      await callStore(keychain.env, options, [['write', ACCOUNT, RECORD]])
      const before = keychain.search('atlas-cli')
      expect(
        await callStore(keychain.env, options, [
          ['prove', ACCOUNT],
          ['read', ACCOUNT],
        ]),
      ).toEqual([null, RECORD])
      expect(keychain.search('atlas-cli')).toEqual(before)
      await callStore(keychain.env, options, [['delete', ACCOUNT]])
    }
  })

  secretServiceTest('keychain: keeps a record of 17 KB in one item', async () => {
    await using keychain = await startSecretService()
    const options = { platform: 'linux' } as const
    expect(
      await callStore(keychain.env, options, [
        ['read', ACCOUNT],
        ['write', ACCOUNT, RECORD],
        ['read', ACCOUNT],
      ]),
    ).toEqual([null, null, RECORD])
    expect(keychain.search('atlas-cli')).toEqual([{ account: ACCOUNT, secret: RECORD }])
    expect(
      await callStore(keychain.env, options, [
        ['delete', ACCOUNT],
        ['delete', ACCOUNT],
        ['read', ACCOUNT],
      ]),
    ).toEqual([true, false, null])
  })

  secretServiceTest('keychain: on Windows keeps it in items of at most 2,560 bytes', async () => {
    await using keychain = await startSecretService()
    const options = { platform: 'win32' } as const
    expect(
      await callStore(keychain.env, options, [
        ['write', ACCOUNT, RECORD],
        ['write', ACCOUNT, RECORD],
        ['read', ACCOUNT],
      ]),
    ).toEqual([null, null, RECORD])
    const items = keychain.search('atlas-cli')
    const parts = Math.ceil(Buffer.byteLength(RECORD) / 2_560)
    expect(items.map(({ account }) => account).sort()).toEqual(
      [ACCOUNT, ...Array.from({ length: parts }, (_, index) => `${ACCOUNT}#b.${index}`)].sort(),
    )
    expect(Math.max(...items.map(({ secret }) => Buffer.byteLength(secret)))).toBe(2_560)
    expect(
      await callStore(keychain.env, options, [
        ['delete', ACCOUNT],
        ['read', ACCOUNT],
      ]),
    ).toEqual([true, null])
    expect(keychain.search('atlas-cli')).toEqual([])
  })
})
