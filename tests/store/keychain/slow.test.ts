import { describe, expect } from 'bun:test'
import { outcomeOf } from '../../support/binary.ts'
import { secretServiceTest } from '../../support/needs.ts'
import { type FoundItem, startSecretService } from '../../support/secret-service.ts'
import { startSlowBus } from '../../support/slow-bus.ts'
import { stage } from '../../support/stage.ts'
import { callStore, type StoreCall } from '../../support/store-driver.ts'

const ACCOUNT = 'default@https://atlas.example.com'
/** More than the two seconds that the addon waits for an answer. */
const SLOW_MS = 2_500
const ALL = ['OpenSession', 'SearchItems', 'GetSecret', 'SetSecret', 'ReadAlias', 'CreateItem', 'Delete']
const REFRESH = 'POST /api/v1/auth/refresh'

describe('a slow Secret Service', () => {
  const OLD: FoundItem[] = [{ account: ACCOUNT, secret: 'älter' }]
  const NEW: FoundItem[] = [{ account: ACCOUNT, secret: 'neu' }]
  const CASES: [
    what: string,
    slow: string[],
    call: StoreCall,
    answer: unknown,
    before: FoundItem[],
    after: FoundItem[],
  ][] = [
    ['reading', ['GetSecret'], ['read', ACCOUNT], 'älter', OLD, OLD],
    ['reading, by each answer,', ALL, ['read', ACCOUNT], 'älter', OLD, OLD],
    ['reading what is not there', ['SearchItems'], ['read', ACCOUNT], null, [], []],
    ['storing', ['CreateItem'], ['write', ACCOUNT, 'neu'], null, [], NEW],
    ['storing, by each answer,', ALL, ['write', ACCOUNT, 'neu'], null, [], NEW],
    ['replacing', ['SetSecret'], ['write', ACCOUNT, 'neu'], null, OLD, NEW],
    ['proving', ['SetSecret'], ['prove', ACCOUNT], null, OLD, OLD],
    ['deleting', ['Delete'], ['delete', ACCOUNT], true, OLD, []],
    ['deleting, by each answer,', ALL, ['delete', ACCOUNT], true, OLD, []],
    ['deleting what is not there', ['SearchItems'], ['delete', ACCOUNT], false, [], []],
  ]
  secretServiceTest.concurrent.each(CASES)(
    'keychain: %s takes longer than the addon waits, and works',
    async (_, slow, call, answer, before, after) => {
      await using keychain = await startSecretService()
      await using bus = await startSlowBus(keychain.env)
      for (const { account, secret } of before)
        await callStore(keychain.env, { platform: 'linux' }, [['write', account, secret]])
      bus.delayCalls(slow, SLOW_MS)
      expect(await callStore(bus.env, { platform: 'linux' }, [call])).toEqual([answer])
      expect(keychain.search('atlas-cli')).toEqual(after)
    },
  )

  secretServiceTest.concurrent('keychain: what is stored slowly is what is stored quickly', async () => {
    await using keychain = await startSecretService()
    await using bus = await startSlowBus(keychain.env)
    const record = `{"email":"ädä@example.com","token":"${'t'.repeat(16_384)}"}`
    const inDetail = () =>
      Bun.spawnSync(['secret-tool', 'search', '--all', '--unlock', 'service', 'atlas-cli'], {
        env: { ...process.env, ...keychain.env },
      })
        .stdout.toString()
        .replaceAll(/^(\[|created|modified|schema).*\n/gm, '')
    await callStore(keychain.env, { platform: 'linux' }, [['write', ACCOUNT, record]])
    const quickly = inDetail()
    await callStore(keychain.env, { platform: 'linux' }, [['delete', ACCOUNT]])
    bus.delayCalls(['SearchItems'], SLOW_MS)
    await callStore(bus.env, { platform: 'linux' }, [['write', ACCOUNT, record]])
    expect(inDetail()).toBe(quickly)
    expect(quickly).toContain(record)
  })

  secretServiceTest.concurrent(
    'keychain: an item that is replaced after it was found is found again',
    async () => {
      await using keychain = await startSecretService()
      await using bus = await startSlowBus(keychain.env)
      const quickly = { platform: 'linux' } as const
      await callStore(keychain.env, quickly, [['write', ACCOUNT, 'older']])
      bus.delayCalls(['GetSecret'], 700)
      const reading = callStore(bus.env, quickly, [['read', ACCOUNT]])
      while (!bus.calls.includes('GetSecret')) await Bun.sleep(5)
      await callStore(keychain.env, quickly, [
        ['delete', ACCOUNT],
        ['write', ACCOUNT, 'newer'],
      ])
      expect(await reading).toEqual(['newer'])
    },
  )

  secretServiceTest.concurrent('keychain: a slow one has the same errors as a quick one', async () => {
    await using keychain = await startSecretService()
    await using bus = await startSlowBus(keychain.env)
    bus.delayCalls(['SearchItems'], SLOW_MS)
    const read = () => callStore(bus.env, { platform: 'linux' }, [['read', ACCOUNT]])
    keychain.store('atlas-cli', ACCOUNT, new Uint8Array([0xff, 0xfe, 0x41]))
    expect(await read()).toEqual(['store_unavailable'])
    keychain.store('atlas-cli', ACCOUNT, 'another', { made: 'elsewhere' })
    expect(await read()).toEqual(['store_unavailable'])
    keychain.lock()
    expect(await read()).toEqual(['store_locked'])
    keychain.deny()
    expect(await read()).toEqual(['store_denied'])
  })
})

describe('the configured wait', () => {
  const open = async (wait: string) => {
    const atlas = await stage({ rotate: true, store: 'keychain', env: { ATLAS_KEYCHAIN_TIMEOUT: wait } })
    await atlas.logIn()
    atlas.server.forget()
    return { atlas, bus: await startSlowBus(atlas.keychain.env) }
  }
  const stored = ({ keychain }: Awaited<ReturnType<typeof stage>>) =>
    keychain.search('atlas-cli').map(({ secret }) => JSON.parse(secret).refresh_token)

  secretServiceTest.concurrent(
    'keychain: a wait above that of the addon is the wait of a refresh',
    async () => {
      const { atlas, bus } = await open('10')
      await using _ = atlas
      await using __ = bus
      bus.delayCalls(['SetSecret'], SLOW_MS)
      const { status, stdout, stderr } = await atlas.run(['auth', 'refresh'], { env: bus.env })
      expect({ status, says: stdout.split(' ')[0], stderr }).toEqual({
        status: 0,
        says: 'Refreshed',
        stderr: '',
      })
      expect(atlas.server.log()).toEqual([REFRESH])
      expect(stored(atlas)).toEqual([atlas.server.lastTokens.refresh])
    },
  )

  const COMMANDS = [
    ['auth', 'token'],
    ['auth', 'refresh'],
    ['auth', 'logout'],
  ] as const
  secretServiceTest.concurrent.each(COMMANDS)(
    'keychain: one that was stopped for longer than the addon waits answers "%s %s"',
    async (group, command) => {
      const { atlas, bus } = await open('20')
      await using _ = atlas
      await using __ = bus
      atlas.keychain.freeze()
      const child = atlas.start([group, command], { input: '', env: bus.env })
      while (!bus.calls.includes('OpenSession')) await Bun.sleep(20)
      await Bun.sleep(SLOW_MS)
      atlas.keychain.thaw()
      expect((await outcomeOf(child)).status).toBe(0)
      expect(stored(atlas)).toEqual(command === 'logout' ? [] : [atlas.server.lastTokens.refresh])
    },
  )
})
