import fs from 'node:fs'
import path from 'node:path'
import { type AtlasServer, startAtlasServer } from './atlas-server.ts'
import { createSandbox, type Outcome, type RunOptions, type Sandbox } from './binary.ts'

/** A server, and a machine on which Ada is logged in to it. */
export interface SyncStage extends AsyncDisposable {
  readonly server: AtlasServer
  readonly sandbox: Sandbox
  /** `~/.claude` */
  readonly folder: string
  /** `~/.claude/CLAUDE.md` */
  readonly file: string
  /** What the server has from now on. */
  setRemote(content: string, commitSha?: string): void
  run(args: readonly string[], options?: RunOptions): Promise<Outcome>
  /** The local text; undefined where there is no file. */
  local(): string | undefined
  edit(text: string | Uint8Array): void
  /** Everything in `~/.claude`. */
  names(): string[]
}

export async function createSyncStage(): Promise<SyncStage> {
  const server = await startAtlasServer()
  const sandbox = createSandbox({ ATLAS_CREDENTIAL_STORE: 'file', ATLAS_API_URL: server.url })
  const folder = path.join(sandbox.home, '.claude')
  const file = path.join(folder, 'CLAUDE.md')
  const { status, stderr } = await sandbox.logIn(server)
  if (status !== 0) throw new Error(`the login failed: ${stderr}`)
  server.forget()
  return {
    server,
    sandbox,
    folder,
    file,
    setRemote(content, commitSha = 'fedcba9876543210') {
      server.configuration = { content, commit_sha: commitSha, updated_at: '2026-02-03T04:05:06Z' }
    },
    run: (args, options) => sandbox.run(args, options),
    local: () => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : undefined),
    edit(text) {
      fs.mkdirSync(folder, { recursive: true })
      fs.writeFileSync(file, text)
    },
    names: () => (fs.existsSync(folder) ? fs.readdirSync(folder).sort() : []),
    async [Symbol.asyncDispose]() {
      sandbox[Symbol.dispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}
