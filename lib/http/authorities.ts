import type { Environment } from '../config/load.ts'
import { faultOf } from '../files/faults.ts'
import { readRegularFile } from '../files/private.ts'

const VARIABLE = 'NODE_EXTRA_CA_CERTS'
const MAX_BYTES = 16 * 1024 * 1024

/** The file of certificate authorities that are trusted too, which the runtime reads; undefined where none is named. */
export const extraAuthorities = (env: Environment): string | undefined => env[VARIABLE] || undefined

/** Why that file adds none, without a full stop; undefined where it does, or none is named. */
export function authoritiesFault(env: Environment): string | undefined {
  const file = extraAuthorities(env)
  const fault = file && faultIn(file)
  return fault && `${VARIABLE} names ${file}, which ${fault}`
}

function faultIn(file: string): string | undefined {
  try {
    const found = readRegularFile(file, MAX_BYTES)
    if (found === undefined) return 'does not exist'
    return /-----BEGIN (TRUSTED |X509 )?CERTIFICATE-----/.test(found.bytes.toString('latin1'))
      ? undefined
      : 'holds no certificate'
  } catch (error) {
    return `cannot be read (${faultOf(error)?.message ?? 'it is not a file'})`
  }
}
