import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** A key that signs releases, made for a test. */
export interface ReleaseKey extends Disposable {
  /** A folder of the key's own. */
  readonly folder: string
  /** The key as a line of an allowed-signers file. */
  readonly signer: string
  /** The private half, as the file of the key holds it. */
  secret(): string
  /** A signature as `ssh-keygen -Y sign` makes it. */
  sign(text: Uint8Array | string, namespace?: string): Buffer
}

export function createReleaseKey(): ReleaseKey {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-key-'))
  const file = path.join(folder, 'key')
  const run = (args: readonly string[], input: Uint8Array | string = ''): Buffer => {
    const { status, stdout, stderr } = spawnSync('ssh-keygen', args, { input })
    if (status !== 0) throw new Error(`ssh-keygen failed: ${stderr}`)
    return stdout
  }
  if (Bun.which('ssh-keygen')) run(['-q', '-t', 'ed25519', '-N', '', '-C', '', '-f', file])
  const publicKey = fs.existsSync(`${file}.pub`) ? fs.readFileSync(`${file}.pub`, 'utf8').trim() : ''
  return {
    folder,
    signer: `release@atlas namespaces="atlas-release" ${publicKey}`,
    secret: () => fs.readFileSync(file, 'utf8'),
    sign: (text, namespace = 'atlas-release') => run(['-Y', 'sign', '-q', '-f', file, '-n', namespace], text),
    [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }),
  }
}
