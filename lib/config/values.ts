import { type AtlasError, usageError } from '../errors.ts'

export const STORE_KINDS = ['keychain', 'file'] as const
export type StoreKind = (typeof STORE_KINDS)[number]

export const PROFILE_NAME = /^[A-Za-z0-9._-]{1,64}$/

const MAX_SECONDS = 86_400
const MAX_TOKEN_LENGTH = 65_536

/** The characters of a bearer token (RFC 6750 §2.1 allows fewer; servers send more). */
export const isToken = (value: string): boolean =>
  value.length <= MAX_TOKEN_LENGTH && /^[\x21-\x7e]+$/.test(value)

/** What is easily overlooked in a value, as the end of a sentence; undefined where there is nothing of the kind. */
export function overlookedIn(text: string): string | undefined {
  // Nearly every value is like this; Unicode's properties take longer to compile than anything else here.
  if (/^[\w!#$%&()*+,./:;<=>?@[\\\]^{|}~-]*$/.test(text)) return undefined
  if (/^\s*["'`\u2018-\u201f\u00ab\u00bb]|["'`\u2018-\u201f\u00ab\u00bb]\s*$/.test(text))
    return 'has quotes around it'
  if (/^\s|\s$/.test(text)) return 'begins or ends with a blank or a line break'
  return /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u00a0]/u.test(text) ? 'contains an invisible character' : undefined
}

function badValue(from: string, text: string, fault: string, hint: string): AtlasError {
  const overlooked = overlookedIn(text)
  const shown = text.length > 80 ? `${text.slice(0, 80)}…` : text
  return usageError(`${from} is "${shown}"${fault}${overlooked ? `: it ${overlooked}` : ''}.`, hint)
}

/** @returns milliseconds. */
function parseSeconds(text: string, from: string): number {
  const seconds = /^(\d+(\.\d*)?|\.\d+)$/.test(text) ? Number(text) : 0
  if (seconds > 0 && seconds <= MAX_SECONDS) return Math.max(1, Math.round(seconds * 1000))
  const hint = `Give a number above 0 and up to ${MAX_SECONDS}, such as 30 or 2.5.`
  throw badValue(from, text, ', which is not a time in seconds', hint)
}

function parseSwitch(text: string, from: string): boolean {
  if (['1', 'true', 'yes', 'on'].includes(text.toLowerCase())) return true
  if (['0', 'false', 'no', 'off'].includes(text.toLowerCase())) return false
  throw badValue(from, text, '', 'Give 1 or 0.')
}

export function parseProfileName(text: string, from: string): string {
  if (PROFILE_NAME.test(text)) return text
  const hint = 'Use 1 to 64 letters, digits, ".", "_" and "-".'
  throw badValue(from, text, ', which is not a profile name', hint)
}

export function parseStore(text: string, from: string): StoreKind {
  const store = text === 'auto' ? 'keychain' : STORE_KINDS.find(kind => kind === text)
  if (store) return store
  throw badValue(from, text, ', which is not a credential store', 'Use auto, keychain or file.')
}

/** What `atlas` itself puts in front of the token in a request. */
const WITH_SCHEME = /^\s*(?:authorization\s*:|bearer(?:\s|:|$))/i

/** Never repeats what may be most of a secret. */
function parseToken(text: string, from: string): string | undefined {
  if (text === '') return undefined
  const mistake = WITH_SCHEME.test(text)
    ? 'begins with the name of a header or scheme, which atlas adds itself'
    : overlookedIn(text)
  if (mistake !== undefined)
    throw usageError(`${from} is not a valid token: it ${mistake}.`, 'Set it to the token alone.')
  if (isToken(text)) return text
  throw usageError(
    `${from} is not a valid token: it is longer than ${MAX_TOKEN_LENGTH} characters or contains one that is not printable ASCII.`,
    'Check for a line break or a space at its end.',
  )
}

/** Seconds as a text, milliseconds as a value. */
export const SECONDS = { parse: parseSeconds, show: (ms: number) => `${ms / 1000} s` }
export const SWITCH = { default: '0', parse: parseSwitch, show: (value: boolean) => (value ? 'yes' : 'no') }
export const TOKEN = { parse: parseToken, show: (token?: string) => (token === undefined ? 'none' : 'set') }
