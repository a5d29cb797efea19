import { AtlasError } from '../../errors.ts'
import type { AddonFolder } from '../../files/user-folder.ts'
import { shellQuoted } from '../../shell-quote.ts'
import { alternatives, DamagedRecord } from '../store.ts'
import { describeKeychain } from './names.ts'

/** The service name of every item that atlas keeps in a keychain. */
export const SERVICE = 'atlas-cli'

/** The addon waits two seconds for each answer, then says what it also says of a lost connection. */
const ADDON_WAIT_MS = 1_900

/** Whether it was the addon that gave up a Secret Service, which may still answer. */
export const isAddonTimeout = (message: string, tookMs: number): boolean =>
  tookMs >= ADDON_WAIT_MS && NO_REPLY.test(message) && codeOf(message) === 'store_unavailable'

const LOCKED =
  /prompt was dismissed|object locked|is ?locked|interaction (is )?(not allowed|required)|interaction with .* is not allowed|no UI possible/i
const DENIED =
  /access ?denied|permission denied|not authorized|not permitted|rejected send message|policy prevents|user cancell?ed|authentication failed|passphrase you entered is not correct|entitlement|windows error code (5|1223)$/i
const NO_REPLY = /did not receive a reply|timed ?out/i
/** Whether an item was deleted, or replaced by another one, between its being found and its being used. */
export const isItemGone = (message: string): boolean =>
  /No such interface .*Secret\.Item|Object does not exist at path|No such (object|secret item)/i.test(message)

/** What gnome-keyring says where it could not write its files. */
const NOT_WRITTEN = /Couldn't (set item secret|create item|delete )|error occurred on the device/i
const NO_SESSION_BUS = /dbus-daemon autolaunch|DBUS_SESSION_BUS_ADDRESS/
/** There is a Secret Service, but nothing in it to put items into. */
const NO_COLLECTION = /Secret Service: no result found/i
const NOT_TEXT = /not valid UTF-8/i
const AMBIGUOUS = /^Entry is matched by (\d+) credentials/

/** What is said of each, and what to do about it on Linux and elsewhere. */
const MEANING = {
  store_locked: [
    'is locked',
    'Unlock it and try again (log in to the desktop, or run gnome-keyring-daemon --unlock)',
    'Unlock it and try again',
  ],
  store_denied: ['refused access', 'Allow atlas to use it', 'Allow atlas to use it'],
  store_unavailable: ['cannot be used', 'Start one (gnome-keyring, KWallet, KeePassXC)', 'Check it'],
} as const

/** Whose keychain it is, and what logs in without it. */
export interface KeychainUser {
  readonly platform: NodeJS.Platform
  readonly loginCommand: string
}

/** A failed call. The addon gives prose alone: the keyring library's and, inside it, the platform's. */
export function keychainFailure(
  message: string,
  tookMs: number,
  account: string,
  user: KeychainUser,
): AtlasError {
  const { platform, loginCommand } = user
  if (NOT_TEXT.test(message)) return new DamagedRecord(account, 'they are not text')
  const count = AMBIGUOUS.exec(message)?.[1]
  if (count !== undefined)
    return new AtlasError(
      'store_unavailable',
      `${named(platform)} holds ${count} items for "${SERVICE}" and ${account}, and atlas wrote at most one of them.`,
      `Delete them with: secret-tool clear service ${SERVICE} username ${shellQuoted(account)}, then log in again.`,
    )
  const code = codeOf(message)
  if (isAddonTimeout(message, tookMs)) return noAnswer(tookMs, user)
  const [says, nextStep] = NOT_WRITTEN.test(message)
    ? [
        'cannot be written',
        'Make room on its disk, or make its folder writable (gnome-keyring: ~/.local/share/keyrings)',
      ]
    : meaningOf(code, message, platform)
  const failure = `${named(platform)} ${says} (${brief(message)}).`
  return new AtlasError(code, failure, `${nextStep}, ${alternatives(loginCommand)}.`)
}

function meaningOf(
  code: keyof typeof MEANING,
  message: string,
  platform: NodeJS.Platform,
): readonly [says: string, nextStep: string] {
  const [says, onLinux, elsewhere] = MEANING[code]
  if (NO_COLLECTION.test(message))
    return [says, 'Create one (with Seahorse, KWallet or KeePassXC, or by logging in to the desktop)']
  return [says, platform === 'linux' ? onLinux : elsewhere]
}

function codeOf(message: string): keyof typeof MEANING {
  if (LOCKED.test(message)) return 'store_locked'
  return DENIED.test(message) ? 'store_denied' : 'store_unavailable'
}

export const noAnswer = (waitedMs: number, { platform, loginCommand }: KeychainUser): AtlasError =>
  new AtlasError(
    'store_timeout',
    `${named(platform)} did not answer within ${Math.round(waitedMs / 100) / 10} s.`,
    `See whether it waits to be unlocked, allow it longer with ATLAS_KEYCHAIN_TIMEOUT=60, ${alternatives(loginCommand)}.`,
  )

/** As below `sudo -E`: a bus lets in the user alone whose it is. */
export const anotherUsersBus = ({ platform, loginCommand }: KeychainUser): AtlasError =>
  new AtlasError(
    'store_unavailable',
    `${named(platform)} cannot be used: the D-Bus session is another user’s, as with "sudo -E".`,
    `Run atlas as that user, ${alternatives(loginCommand)}.`,
  )

/** @param reason why the addon could not be unpacked, or what the system's loader says. */
export function unloadable(
  reason: string,
  folders: readonly AddonFolder[],
  { loginCommand }: KeychainUser,
): AtlasError {
  const { path, from = 'TMPDIR' } = folders.at(-1) ?? { path: 'no folder' }
  const noPrograms = /failed to map segment|operation not permitted/i.test(reason)
  const why = noPrograms ? 'programs may not run from there (is it mounted noexec?)' : reason
  return new AtlasError(
    'store_unavailable',
    `The keychain support, which is unpacked into ${path}, could not be loaded: ${why}.`,
    `Set ${from} to a folder that exists, has room and allows programs, ${alternatives(loginCommand)}.`,
  )
}

const named = (platform: NodeJS.Platform): string => describeKeychain(platform).replace(/^t/, 'T')

/** The first sentence of the platform's own words, without the library's preface. */
function brief(message: string): string {
  if (NO_SESSION_BUS.test(message)) return 'there is no D-Bus session, as over ssh and in containers'
  if (NO_COLLECTION.test(message)) return 'it has no default keyring'
  return message
    .replace(/^(Platform failure|Couldn't access platform storage): /, '')
    .replace(/(\. |;|\n).*$/s, '')
    .replace(/\.$/, '')
}
