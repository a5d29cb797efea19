import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** What a Secret Service of the tests' own is made of. */
export const SECRET_SERVICE_TOOLS = ['dbus-daemon', 'dbus-send', 'gnome-keyring-daemon', 'secret-tool']
const PASSWORD = 'password'
const LOGIN_COLLECTION = '/org/freedesktop/secrets/collection/login'

export const hasSecretService = SECRET_SERVICE_TOOLS.every(tool => Bun.which(tool) !== null)

/** An item as `secret-tool` finds it. */
export interface FoundItem {
  readonly account: string
  readonly secret: string
}

/** A D-Bus session and a gnome-keyring daemon that belong to one test. */
export interface SecretService extends AsyncDisposable {
  /** What a process needs in its environment to find it. */
  readonly env: Record<string, string>
  /** What `secret-tool` finds for a service. */
  search(service: string): FoundItem[]
  /** The secret of one item, undefined where there is none. */
  lookup(service: string, account: string): string | undefined
  /** Put an item there as another program would. @param attributes beside service and username. */
  store(
    service: string,
    account: string,
    secret: string | Uint8Array,
    attributes?: Record<string, string>,
  ): void
  /** Lock the collection, so that the next access asks a person, of whom there is none. */
  lock(): void
  /** Have the bus refuse to pass calls on to the keyring, for connections made from now on. */
  deny(): void
  allow(): void
  /** Stop the keyring daemon, so that it takes calls and never answers. */
  freeze(): void
  thaw(): void
  /** How many programs are connected to the bus. */
  clients(): number
  /** Whether the keyring daemon lives: it has faults of its own. */
  keyringLives(): boolean
  /** End the keyring daemon at once; the bus lives on. */
  killKeyring(): void
  /** Start the keyring daemon again, unlocked, with what it has kept. */
  restartKeyring(): Promise<void>
  /** End the daemons at once. */
  kill(): void
}

export interface SecretServiceOptions {
  /** Leave the bus without a Secret Service. */
  readonly keyring?: boolean
  /** Where the keyring keeps its files: in `keyrings` below it. */
  readonly dataFolder?: string | undefined
}

/** @throws where a tool is missing or does not start. */
export async function startSecretService({
  keyring: withKeyring = true,
  dataFolder,
}: SecretServiceOptions = {}): Promise<SecretService> {
  const missing = SECRET_SERVICE_TOOLS.filter(tool => Bun.which(tool) === null)
  if (missing.length > 0) throw new Error(`a Secret Service needs ${missing.join(', ')}`)
  const home = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-keyring-'))
  const configFile = path.join(home, 'bus.conf')
  const configure = (policy: string): void => fs.writeFileSync(configFile, busConfig(home, policy))
  configure('')
  const bus = Bun.spawn(['dbus-daemon', `--config-file=${configFile}`, '--nofork', '--print-address=1'], {
    env: { PATH: process.env['PATH'] ?? '', HOME: home },
    stdout: 'pipe',
    stderr: 'ignore',
  })
  const address = await firstLine(bus.stdout)
  const env = { DBUS_SESSION_BUS_ADDRESS: address, XDG_RUNTIME_DIR: home }
  const inSession = { ...env, PATH: process.env['PATH'] ?? '', HOME: home }
  const startKeyring = async () => {
    const daemon = Bun.spawn(['gnome-keyring-daemon', '--foreground', '--unlock', '--components=secrets'], {
      env: { ...inSession, XDG_DATA_HOME: dataFolder ?? '' },
      stdin: new Blob([PASSWORD]),
      stdout: 'pipe',
      stderr: 'ignore',
    })
    // It prints its control folder once it is unlocked.
    await firstLine(daemon.stdout)
    return daemon
  }
  let keyring = withKeyring ? await startKeyring() : undefined

  const tool = (command: string[], input: string | Uint8Array = ''): string => {
    const { exitCode, stdout, stderr } = Bun.spawnSync(command, { env: inSession, stdin: Buffer.from(input) })
    if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr}`)
    return stdout.toString()
  }
  const call = (destination: string, object: string, method: string, ...args: string[]): string =>
    tool(['dbus-send', '--session', '--print-reply', `--dest=${destination}`, object, method, ...args])
  const reconfigure = (policy: string): void => {
    configure(policy)
    call('org.freedesktop.DBus', '/org/freedesktop/DBus', 'org.freedesktop.DBus.ReloadConfig')
  }
  const kill = (): void => {
    keyring?.kill('SIGKILL')
    bus.kill('SIGKILL')
  }
  return {
    env,
    search(service) {
      const { stdout, stderr } = Bun.spawnSync(['secret-tool', 'search', '--all', 'service', service], {
        env: inSession,
      })
      // secret-tool prints the secret to one stream and the attributes to the other.
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
    store(service, account, secret, attributes = {}) {
      const more = Object.entries(attributes).flat()
      tool(['secret-tool', 'store', '--label=test', 'service', service, 'username', account, ...more], secret)
    },
    lock: () =>
      void call(
        'org.freedesktop.secrets',
        '/org/freedesktop/secrets',
        'org.freedesktop.Secret.Service.Lock',
        `array:objpath:${LOGIN_COLLECTION}`,
      ),
    deny: () => reconfigure('<deny send_destination="org.freedesktop.secrets"/>'),
    allow: () => reconfigure(''),
    freeze: () => void keyring?.kill('SIGSTOP'),
    thaw: () => void keyring?.kill('SIGCONT'),
    clients() {
      const names = call(
        'org.freedesktop.DBus',
        '/org/freedesktop/DBus',
        'org.freedesktop.DBus.ListNames',
      ).match(/":1\.\d+"/g)
      // One of them is this question's own.
      return (names?.length ?? 0) - 1
    },
    keyringLives: () => keyring !== undefined && keyring.exitCode === null && keyring.signalCode === null,
    killKeyring: () => void keyring?.kill('SIGKILL'),
    async restartKeyring() {
      keyring?.kill('SIGKILL')
      await keyring?.exited
      keyring = await startKeyring()
    },
    kill,
    async [Symbol.asyncDispose]() {
      kill()
      await Promise.all([bus.exited, keyring?.exited])
      fs.rmSync(home, { recursive: true, force: true })
    },
  }
}

/** A bus of its own kind: with no files that tell it how to start a Secret Service behind the test's back. */
const busConfig = (folder: string, policy: string): string => `
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
  "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir=${folder}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
    ${policy}
  </policy>
</busconfig>`

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
