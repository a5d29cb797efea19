import fs from 'node:fs'
import path from 'node:path'
import { type AtlasServer, type AtlasServerOptions, startAtlasServer } from './atlas-server.ts'
import {
  createSandbox,
  createUnprivilegedSandbox,
  type Machine,
  type Outcome,
  type RunOptions,
  type User,
} from './binary.ts'
import { type SecretService, startSecretService } from './secret-service.ts'

export interface StageOptions extends AtlasServerOptions {
  /** Log Ada in. The config file then names the server, and the server forgets the requests of the login. */
  readonly loggedIn?: boolean
  /** `keychain`: a Secret Service that belongs to this test. `unset`: the default, which finds no keychain here. */
  readonly store?: 'file' | 'keychain' | 'unset'
  /** Where that Secret Service keeps its files. */
  readonly keyringFolder?: string
  readonly env?: Record<string, string>
  /** Name the server with the path of its API, so that no request has to look for it. */
  readonly withApiPath?: boolean
  /** Run as a user whom permissions bind, also where the tests run as root. */
  readonly unprivileged?: boolean
}

/** A server, and a machine with the compiled program and a home folder of its own. */
export interface Stage extends Machine, AsyncDisposable {
  readonly server: AtlasServer
  /** The test's own Secret Service. @throws where the store is another one. */
  readonly keychain: SecretService
  readonly claude: ClaudeFolder
  /** Log in as Ada, to this stage's own server unless given another one. */
  logIn(options?: RunOptions & { server?: AtlasServer }): Promise<Outcome>
}

/** `~/.claude`, where `atlas sync` writes. */
export interface ClaudeFolder {
  readonly folder: string
  /** `CLAUDE.md` in it. */
  readonly file: string
  /** The text of the file; undefined where there is none. */
  text(): string | undefined
  edit(text: string | Uint8Array): void
  /** Everything in the folder. */
  names(): string[]
}

/**
 * What a test of the whole program needs, all of it removed when the test ends.
 * Where nobody is logged in, `ATLAS_API_URL` names the server.
 */
export async function stage(options: StageOptions = {}): Promise<Stage> {
  const { loggedIn = false, store = 'file', keyringFolder, env = {}, ...others } = options
  const { withApiPath = false, unprivileged = false, ...serverOptions } = others
  const server = await startAtlasServer(serverOptions)
  const apiUrl = withApiPath ? server.apiRoot : server.url
  const keychain = store === 'keychain' ? await startSecretService({ dataFolder: keyringFolder }) : undefined
  const create = unprivileged ? createUnprivilegedSandbox : createSandbox
  const sandbox = create({
    ...keychain?.env,
    ...(store === 'file' && { ATLAS_CREDENTIAL_STORE: 'file' }),
    ...(!loggedIn && { ATLAS_API_URL: apiUrl }),
    ...env,
  })
  const logIn: Stage['logIn'] = ({ server: other = server, ...run } = {}) =>
    sandbox.logIn(other, {
      ...run,
      env: { ...(other === server && { ATLAS_API_URL: apiUrl }), ...run.env },
    })
  const dispose = async (): Promise<void> => {
    sandbox[Symbol.dispose]()
    await keychain?.[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
  }
  if (loggedIn) {
    const { status, stderr } = await logIn()
    if (status !== 0) {
      await dispose()
      throw new Error(`the login failed: ${stderr}`)
    }
    server.forget()
  }
  return {
    ...sandbox,
    server,
    get keychain() {
      if (!keychain) throw new Error('this stage has no keychain')
      return keychain
    },
    claude: claudeFolder(sandbox.home, sandbox.user),
    logIn,
    [Symbol.asyncDispose]: dispose,
  }
}

export function claudeFolder(home: string, user: User | undefined): ClaudeFolder {
  const folder = path.join(home, '.claude')
  const file = path.join(folder, 'CLAUDE.md')
  return {
    folder,
    file,
    text: () => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined),
    edit(text) {
      fs.mkdirSync(folder, { recursive: true })
      fs.writeFileSync(file, text)
      if (user) for (const place of [folder, file]) fs.chownSync(place, user.uid, user.gid)
    },
    names: () => (fs.existsSync(folder) ? fs.readdirSync(folder).sort() : []),
  }
}
