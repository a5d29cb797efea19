/*
 * Calls to a keychain store in a process of their own: the addon finds the keychain by the environment
 * that its process started with.
 */
import path from 'node:path'
import { AtlasError } from '../../lib/errors.ts'
import { createKeychainStore, type KeychainOptions } from '../../lib/store/keychain/keychain.ts'

export type StoreCall =
  | readonly ['write', account: string, record: string]
  | readonly ['read' | 'prove' | 'delete', account: string]

export type StoreOptions = Pick<KeychainOptions, 'platform'>

/** What each call gave: its value, null for nothing, or the code of its error. */
export async function callStore(
  env: Record<string, string>,
  options: StoreOptions,
  calls: readonly StoreCall[],
): Promise<unknown[]> {
  const child = Bun.spawn([process.execPath, '--no-env-file', path.resolve(import.meta.path)], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdin: new Blob([JSON.stringify({ options, calls })]),
    stdout: 'pipe',
    stderr: 'inherit',
  })
  return JSON.parse(await new Response(child.stdout).text())
}

if (import.meta.main) {
  const { options, calls } = (await Bun.stdin.json()) as { options: StoreOptions; calls: StoreCall[] }
  const store = createKeychainStore({
    loginCommand: 'atlas auth login',
    ...options,
    mayOpenDialogue: true,
    timeoutMs: 20_000,
    lockFolder: '',
    addonFolders: () => [],
    env: process.env,
    uid: process.getuid?.(),
    debug() {},
  })
  const answer = (method: StoreCall[0], account: string, record: string): Promise<unknown> => {
    if (method === 'write') return store.write(account, record)
    return method === 'prove' ? store.prove(account, true) : store[method](account)
  }
  const results: unknown[] = []
  for (const [method, account, record = ''] of calls) {
    try {
      results.push(await answer(method, account, record))
    } catch (error) {
      results.push(error instanceof AtlasError ? error.code : String(error))
    }
  }
  process.stdout.write(JSON.stringify(results))
  process.exit(0)
}
