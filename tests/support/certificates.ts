import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { testWithTools } from './needs.ts'

/** A certificate authority of a test's own, and what it has signed. */
export interface Authority extends Disposable {
  /** The path of its certificate. */
  readonly file: string
  issue(options?: { host?: string; expired?: boolean }): Certificate
  /** A certificate that nobody but itself vouches for. */
  selfSigned(): Certificate
}

export interface Certificate {
  readonly key: string
  readonly cert: string
}

/** A test that makes certificates. */
export const certificateTest = testWithTools('openssl')

/** @param expired whether the authority's own certificate ran out yesterday. */
export function createAuthority({ expired = false }: { expired?: boolean } = {}): Authority {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-ca-'))
  const at = (name: string): string => path.join(folder, name)
  const openssl = (...args: string[]): void => {
    const { exitCode, stderr } = Bun.spawnSync(['openssl', ...args])
    if (exitCode !== 0) throw new Error(`openssl ${args[0]}: ${stderr}`)
  }
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']
  openssl('req', ...key, '-keyout', at('ca.key'), '-out', at('ca.csr'), '-subj', '/CN=Atlas test authority')
  fs.writeFileSync(at('ca.ext'), 'basicConstraints=critical,CA:TRUE\n')
  const lifetime = ['-days', expired ? '-1' : '2']
  const self = ['-signkey', at('ca.key'), '-extfile', at('ca.ext')]
  openssl('x509', '-req', '-in', at('ca.csr'), ...self, ...lifetime, '-out', at('ca.pem'))
  const pair = (name: string): Certificate => ({
    key: fs.readFileSync(at(`${name}.key`), 'utf8'),
    cert: fs.readFileSync(at(`${name}.pem`), 'utf8'),
  })
  return {
    file: at('ca.pem'),
    issue({ host = 'DNS:localhost,IP:127.0.0.1', expired: expiredLeaf = false } = {}) {
      openssl('req', ...key, '-keyout', at('server.key'), '-out', at('server.csr'), '-subj', '/CN=server')
      fs.writeFileSync(at('ext'), `subjectAltName=${host}\n`)
      const sign = ['-CA', at('ca.pem'), '-CAkey', at('ca.key'), '-CAcreateserial', '-extfile', at('ext')]
      const days = ['-days', expiredLeaf ? '-1' : '1']
      openssl('x509', '-req', '-in', at('server.csr'), ...sign, ...days, '-out', at('server.pem'))
      return pair('server')
    },
    selfSigned() {
      const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']
      openssl('req', '-x509', ...key, '-keyout', at('self.key'), '-out', at('self.pem'), ...subject)
      return pair('self')
    },
    [Symbol.dispose]: () => fs.rmSync(folder, { recursive: true, force: true }),
  }
}
