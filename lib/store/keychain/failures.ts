import { type AtlasCode, AtlasError } from '../../errors.ts'
import type { AddonFolder } from '../../files/user-folder.ts'
import { shellQuoted } from '../../terminal/shell-quote.ts'
import { ALTERNATIVES, DamagedRecord } from '../store-error.ts'

export type KeychainCode = Extract<
  AtlasCode,
  'store_locked' | 'store_denied' | 'store_timeout' | 'store_unavailable'
>

/** Whose keychain is called, and under which service name. */
export interface Keychain {
  readonly platform: NodeJS.Platform
  readonly service: string
}

/** The addon gives a Secret Service two seconds for each answer, then says what it also says of a lost connection. */
const ADDON_WAIT_MS = 1_900

const LOCKED =
  /prompt was dismissed|object locked|is ?locked|interaction (is )?(not allowed|required)|interaction with .* is not allowed|no UI possible/i
const DENIED =
  /access ?denied|permission denied|not authorized|not permitted|rejected send message|policy prevents|user cancell?ed|authentication failed|passphrase you entered is not correct|entitlement|windows error code (5|1223)$/i
const NO_REPLY = /did not receive a reply|timed ?out/i
/** Neither a variable nor a socket names a D-Bus session. */
const NO_SESSION_BUS = /dbus-daemon autolaunch|DBUS_SESSION_BUS_ADDRESS/
/** There is a Secret Service, but nothing in it to put items into. */
const NO_COLLECTION = /Secret Service: no result found/i
const NOT_TEXT = /not valid UTF-8/i
const AMBIGUOUS = /^Entry is matched by (\d+) credentials/

/**
 * Which of the store's answers a failure is. The addon gives prose alone: that of the keyring library
 * and, inside it, of the platform.
 * @param tookMs how long the call took, in milliseconds.
 */
export function classifyKeychainFailure(message: string, tookMs: number): KeychainCode {
  if (LOCKED.test(message)) return 'store_locked'
  if (DENIED.test(message)) return 'store_denied'
  if (NO_REPLY.test(message) && tookMs >= ADDON_WAIT_MS) return 'store_timeout'
  return 'store_unavailable'
}

/** A failed call as an error that says what to do. */
export function keychainFailure(
  message: string,
  tookMs: number,
  account: string,
  keychain: Keychain,
): AtlasError {
  if (NOT_TEXT.test(message)) return new DamagedRecord(account, 'they are not text')
  const count = AMBIGUOUS.exec(message)?.[1]
  if (count !== undefined) return ambiguous(count, account, keychain)
  const code = classifyKeychainFailure(message, tookMs)
  if (code === 'store_timeout') return silent(tookMs, keychain)
  return new AtlasError(
    code,
    `${sentence(describeKeychain(keychain.platform))} ${SAYS[code]} (${brief(message)}).`,
    NO_COLLECTION.test(message)
      ? `Create one (with Seahorse, KWallet or KeePassXC, or by logging in to the desktop), ${ALTERNATIVES}.`
      : nextStep(code, keychain.platform),
  )
}

/** No answer came in time. */
export const silent = (waitedMs: number, keychain: Keychain): AtlasError =>
  new AtlasError(
    'store_timeout',
    `${sentence(describeKeychain(keychain.platform))} did not answer within ${Math.round(waitedMs / 100) / 10} s.`,
    `See whether it waits to be unlocked, allow it longer with ATLAS_KEYCHAIN_TIMEOUT=60, ${ALTERNATIVES}.`,
  )

/** The addon itself could not be unpacked or loaded. @param reason what is against it, or the system's loader says. */
export function unloadable(reason: string, { path, from = 'TMPDIR' }: AddonFolder): AtlasError {
  const noPrograms = /failed to map segment|operation not permitted/i.test(reason)
  const why = noPrograms ? 'programs may not run from there (is it mounted noexec?)' : reason
  return new AtlasError(
    'store_unavailable',
    `The keychain support, which is unpacked into ${path}, could not be loaded: ${why}.`,
    `Set ${from} to a folder that exists, has room and allows programs, ${ALTERNATIVES}.`,
  )
}

/** A keychain as told to a person. */
export function describeKeychain(platform: NodeJS.Platform): string {
  if (platform === 'darwin') return 'the macOS Keychain'
  if (platform === 'win32') return 'the Windows Credential Manager'
  return 'the Secret Service keychain'
}

const ambiguous = (count: string, account: string, keychain: Keychain): AtlasError =>
  new AtlasError(
    'store_unavailable',
    `${sentence(describeKeychain(keychain.platform))} holds ${count} items for "${keychain.service}" and ${account}, and atlas wrote at most one of them.`,
    `Delete them with: secret-tool clear service ${keychain.service} username ${shellQuoted(account)}, then log in again.`,
  )

const SAYS: Record<Exclude<KeychainCode, 'store_timeout'>, string> = {
  store_locked: 'is locked',
  store_denied: 'refused access',
  store_unavailable: 'cannot be used',
}

function nextStep(code: Exclude<KeychainCode, 'store_timeout'>, platform: NodeJS.Platform): string {
  switch (code) {
    case 'store_locked':
      return `Unlock it and try again${platform === 'linux' ? ' (log in to the desktop, or run gnome-keyring-daemon --unlock)' : ''}, ${ALTERNATIVES}.`
    case 'store_denied':
      return `Allow atlas to use it, ${ALTERNATIVES}.`
    case 'store_unavailable':
      return `${platform === 'linux' ? 'Start one (gnome-keyring, KWallet, KeePassXC)' : 'Check it'}, ${ALTERNATIVES}.`
  }
}

/** The platform's own words where they help, without the library's preface and what follows the first sentence. */
const brief = (message: string): string =>
  NO_SESSION_BUS.test(message)
    ? 'there is no D-Bus session, as over ssh and in containers'
    : NO_COLLECTION.test(message)
      ? 'it has no default keyring'
      : message
          .replace(/^(Platform failure|Couldn't access platform storage): /, '')
          .replace(/(\. |;|\n).*$/s, '')
          .replace(/\.$/, '')

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)
