import fs from 'node:fs'
import path from 'node:path'

const REQUIREMENTS = path.join(import.meta.dir, 'requirements.txt')
const SERVER = path.join(import.meta.dir, 'server.py')
const ENVIRONMENT = path.resolve(import.meta.dir, '../../dist/conformance')
const PYTHON = path.join(ENVIRONMENT, 'bin/python')
/** What is installed there: the requirements as they were then. */
const INSTALLED = path.join(ENVIRONMENT, 'requirements.txt')

/** A request as the server saw it. */
export interface Told {
  /** Such as `GET /api/v1/auth/me`. */
  readonly request: string
  readonly status: number
  /** Whether the password was in its body. */
  readonly password: boolean
  /** Whether it had a bearer token. */
  readonly bearer: boolean
}

/** What the API does from now on; see `Control` in `server.py`. */
export interface Control {
  readonly access_ttl_s?: number
  readonly content?: string | null
  readonly commit_sha?: string
  readonly may_write?: boolean
}

/** An Atlas API on FastAPI and uvicorn. */
export interface FastApiServer extends AsyncDisposable {
  readonly url: string
  /** What it has been asked since it was last forgotten. */
  readonly told: Told[]
  forget(): void
  control(control: Control): Promise<void>
}

/**
 * Make the virtual environment of the server, once for each version of the requirements.
 * @returns why that cannot be done on this machine; undefined where all is there.
 */
export function prepareEnvironment(): string | undefined {
  const wanted = fs.readFileSync(REQUIREMENTS, 'utf8')
  if (fs.existsSync(INSTALLED) && fs.readFileSync(INSTALLED, 'utf8') === wanted) return undefined
  const python = ['python3', 'python'].map(name => Bun.which(name)).find(found => found !== null)
  if (python === undefined) return 'there is no Python'
  fs.rmSync(ENVIRONMENT, { recursive: true, force: true })
  const steps = [
    [python, '-m', 'venv', ENVIRONMENT],
    [PYTHON, '-m', 'pip', 'install', '--quiet', '--retries', '0', '--no-deps', '-r', REQUIREMENTS],
  ]
  for (const step of steps) {
    const { exitCode, stdout, stderr } = Bun.spawnSync(step)
    if (exitCode !== 0) return `"${step.slice(1, 4).join(' ')}" failed: ${lastLine(`${stdout}${stderr}`)}`
  }
  fs.writeFileSync(INSTALLED, wanted)
  return undefined
}

const lastLine = (text: string): string => text.trim().split('\n').at(-1) ?? ''

export async function startFastApiServer(): Promise<FastApiServer> {
  const child = Bun.spawn([PYTHON, SERVER], { stdout: 'pipe', stderr: 'inherit' })
  const told: Told[] = []
  const port = Promise.withResolvers<string>()
  const read = async (): Promise<void> => {
    let text = ''
    for await (const piece of child.stdout.pipeThrough(new TextDecoderStream())) {
      text += piece
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      for (const line of lines)
        if (line.startsWith('{')) told.push(JSON.parse(line))
        else port.resolve(line)
    }
    port.reject(new Error('the server ended'))
  }
  read().catch(port.reject)
  const url = `http://127.0.0.1:${await port.promise}`
  return {
    url,
    told,
    forget: () => void told.splice(0),
    async control(control) {
      const headers = { 'content-type': 'application/json' }
      const answer = await fetch(`${url}/control`, { method: 'POST', headers, body: JSON.stringify(control) })
      if (!answer.ok) throw new Error(`the server answered ${answer.status} to its control`)
    },
    async [Symbol.asyncDispose]() {
      child.kill()
      await child.exited
    },
  }
}
