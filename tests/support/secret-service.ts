import { test } from 'bun:test'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

const TOOLS = ['dbus-daemon', 'gnome-keyring-daemon', 'secret-tool']

/** Whether this machine can run a Secret Service of the tests' own. */
export const hasSecretService = TOOLS.every(tool => Bun.which(tool) !== null)

/** A test that needs a real Secret Service: skipped where there is none, but failing there in CI. */
export const secretServiceTest: typeof test =
  hasSecretService || process.env['CI'] === 'true' ? test : (test.skip as typeof test)

/** A D-Bus session and a gnome-keyring daemon that belong to one test. */
export interface SecretService extends AsyncDisposable {
  /** What a process needs in its environment to find it. */
  readonly env: Record<string, string>
  /** What `secret-tool` finds for a service: attributes and secret of each item. */
  search(service: string): { account: string; secret: string }[]
  /** The secret of one item, undefined where there is none. */
  lookup(service: string, account: string): string | undefined
  /** Put an item there as another program would. */
  store(service: string, account: string, secret: string): void
  /** Lock the collection, so that the next access asks a person. */
  lock(): void
  /** End the daemons at once. */
  kill(): void
}

/** @throws where a tool is missing or does not start. */
export async function startSecretService(): Promise<SecretService> {
  const missing = TOOLS.filter(tool => Bun.which(tool) === null)
  if (missing.length > 0) throw new Error(`a Secret Service needs ${missing.join(', ')}`)
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-keyring-'))
  const bus = Bun.spawn(['dbus-daemon', '--session', '--nofork', '--print-address=1'], {
    env: { PATH: process.env['PATH'] ?? '', HOME: home },
    stdout: 'pipe',
    stderr: 'ignore',
  })
  const address = await firstLine(bus.stdout)
  const env = { DBUS_SESSION_BUS_ADDRESS: address, XDG_RUNTIME_DIR: home }
  const inSession = { ...env, PATH: process.env['PATH'] ?? '', HOME: home }
  const keyring = Bun.spawn(['gnome-keyring-daemon', '--foreground', '--unlock', '--components=secrets'], {
    env: inSession,
    stdin: new Blob(['password']),
    stdout: 'pipe',
    stderr: 'ignore',
  })
  // It prints its control folder once it is unlocked.
  await firstLine(keyring.stdout)

  const tool = (command: string[], input = ''): string => {
    const { exitCode, stdout, stderr } = Bun.spawnSync(command, { env: inSession, stdin: Buffer.from(input) })
    if (exitCode !== 0 && stderr.length > 0) throw new Error(`${command.join(' ')}: ${stderr}`)
    return `${stdout}${stderr}`
  }
  const kill = (): void => {
    keyring.kill('SIGKILL')
    bus.kill('SIGKILL')
  }
  return {
    env,
    search(service) {
      // secret-tool prints the secret to one stream and the attributes to the other.
      const { stdout, stderr } = Bun.spawnSync(['secret-tool', 'search', '--all', 'service', service], {
        env: inSession,
      })
      const secrets = [...stdout.toString().matchAll(/^secret = (.*)$/gm)].map(([, secret = '']) => secret)
      const accounts = [...stderr.toString().matchAll(/^attribute\.username = (.*)$/gm)].map(
        ([, name = '']) => name,
      )
      return accounts.map((account, index) => ({ account, secret: secrets[index] ?? '' }))
    },
    lookup(service, account) {
      const { exitCode, stdout } = Bun.spawnSync(
        ['secret-tool', 'lookup', 'service', service, 'username', account],
        { env: inSession },
      )
      return exitCode === 0 ? stdout.toString().replace(/\n$/, '') : undefined
    },
    store: (service, account, secret) =>
      void tool(['secret-tool', 'store', '--label=test', 'service', service, 'username', account], secret),
    lock: () =>
      void tool([
        ...[
          'dbus-send',
          '--session',
          '--print-reply',
          '--dest=org.freedesktop.secrets',
          '/org/freedesktop/secrets',
        ],
        ...['org.freedesktop.Secret.Service.Lock', 'array:objpath:/org/freedesktop/secrets/collection/login'],
      ]),
    kill,
    async [Symbol.asyncDispose]() {
      kill()
      await Promise.all([bus.exited, keyring.exited])
      fs.rmSync(home, { recursive: true, force: true })
    },
  }
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.getReader()
  const decoder = new TextDecoder()
  let text = ''
  while (!text.includes('\n')) {
    const { done, value } = await reader.read()
    if (done) break
    text += decoder.decode(value, { stream: true })
  }
  reader.releaseLock()
  return text.split('\n')[0] ?? ''
}
