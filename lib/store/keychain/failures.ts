import { type AtlasCode, AtlasError } from '../../errors.ts'
import type { AddonFolder } from '../../files/user-folder.ts'
import { shellQuoted } from '../../shell-quote.ts'
import { ALTERNATIVES, DamagedRecord } from '../store-error.ts'

type KeychainCode = Extract<AtlasCode, `store_${string}`>

/** Which keychain is called, and the service name of its items. */
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
  { platform, service }: Keychain,
): AtlasError {
  if (NOT_TEXT.test(message)) return new DamagedRecord(account, 'they are not text')
  const count = AMBIGUOUS.exec(message)?.[1]
  if (count !== undefined)
    return new AtlasError(
      'store_unavailable',
      `${named(platform)} holds ${count} items for "${service}" and ${account}, and atlas wrote at most one of them.`,
      `Delete them with: secret-tool clear service ${service} username ${shellQuoted(account)}, then log in again.`,
    )
  const code = classifyKeychainFailure(message, tookMs)
  if (code === 'store_timeout') return noAnswer(tookMs, platform)
  const hint = NO_COLLECTION.test(message)
    ? 'Create one (with Seahorse, KWallet or KeePassXC, or by logging in to the desktop)'
    : NEXT_STEP[code](platform === 'linux')
  return new AtlasError(
    code,
    `${named(platform)} ${SAYS[code]} (${brief(message)}).`,
    `${hint}, ${ALTERNATIVES}.`,
  )
}

/** The keychain did not answer in time. */
export const noAnswer = (waitedMs: number, platform: NodeJS.Platform): AtlasError =>
  new AtlasError(
    'store_timeout',
    `${named(platform)} did not answer within ${Math.round(waitedMs / 100) / 10} s.`,
    `See whether it waits to be unlocked, allow it longer with ATLAS_KEYCHAIN_TIMEOUT=60, ${ALTERNATIVES}.`,
  )

/**
 * The addon itself could not be unpacked or loaded.
 * @param reason why it could not be unpacked, or what the system's loader says.
 */
export function unloadable(reason: string, { path, from = 'TMPDIR' }: AddonFolder): AtlasError {
  const noPrograms = /failed to map segment|operation not permitted/i.test(reason)
  const why = noPrograms ? 'programs may not run from there (is it mounted noexec?)' : reason
  return new AtlasError(
    'store_unavailable',
    `The keychain support, which is unpacked into ${path}, could not be loaded: ${why}.`,
    `Set ${from} to a folder that exists, has room and allows programs, ${ALTERNATIVES}.`,
  )
}

/** A keychain's name in messages. */
export function describeKeychain(platform: NodeJS.Platform): string {
  if (platform === 'darwin') return 'the macOS Keychain'
  if (platform === 'win32') return 'the Windows Credential Manager'
  return 'the Secret Service keychain'
}

const named = (platform: NodeJS.Platform): string => describeKeychain(platform).replace(/^t/, 'T')

const SAYS = {
  store_locked: 'is locked',
  store_denied: 'refused access',
  store_unavailable: 'cannot be used',
}

const NEXT_STEP = {
  store_locked: (onLinux: boolean) =>
    onLinux
      ? 'Unlock it and try again (log in to the desktop, or run gnome-keyring-daemon --unlock)'
      : 'Unlock it and try again',
  store_denied: () => 'Allow atlas to use it',
  store_unavailable: (onLinux: boolean) =>
    onLinux ? 'Start one (gnome-keyring, KWallet, KeePassXC)' : 'Check it',
}

/** The platform's own words where they help, without the library's preface and what follows the first sentence. */
function brief(message: string): string {
  if (NO_SESSION_BUS.test(message)) return 'there is no D-Bus session, as over ssh and in containers'
  if (NO_COLLECTION.test(message)) return 'it has no default keyring'
  return message
    .replace(/^(Platform failure|Couldn't access platform storage): /, '')
    .replace(/(\. |;|\n).*$/s, '')
    .replace(/\.$/, '')
}
