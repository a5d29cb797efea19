import type { Flags } from '../cli/flags.ts'
import { loginAt, withLogoutOf } from '../config/file.ts'
import { AtlasError, Cancelled } from '../errors.ts'
import type { LoginPlace, Run } from '../run.ts'
import { type EndedSession, LOGOUT_TIMEOUT_MS, logOut } from '../session/session.ts'
import { styled } from '../terminal/style.ts'
import { describeMoment } from '../terminal/time.ts'
import type { Register } from './context.ts'

export interface LogoutOptions {
  readonly all: boolean
}

/** A session that was ended, and where it was stored. */
interface Ended extends EndedSession {
  readonly place: LoginPlace
}

type Needs = Pick<
  Run,
  | 'config'
  | 'configFile'
  | 'credentials'
  | 'storedAs'
  | 'loginsInFiles'
  | 'http'
  | 'interrupts'
  | 'terminal'
  | 'now'
>

/**
 * End the stored session, or all of them: tell the server, then delete locally whatever it said.
 * @throws {AtlasError} `store_*`, `lock_timeout`: credentials could not be deleted and are still there;
 * those that could be deleted are gone, and reported.
 */
export async function logout({ all }: LogoutOptions, needs: Needs): Promise<void> {
  const { credentials, storedAs, terminal } = needs
  const { places, fault } = await placesOf(all, needs)
  const ended: Ended[] = []
  let failure: AtlasError | undefined
  // All servers together are waited for no longer than one alone, and one that hangs does not use it all up.
  let leftMs = LOGOUT_TIMEOUT_MS
  for (const [index, place] of places.entries()) {
    try {
      const timeoutMs = Math.max(1, leftMs / (places.length - index))
      const ending = logOut(storedAs(place), needs, timeoutMs)
      const result = await terminal.during(`Logging out of ${place.apiUrl}`, ending)
      leftMs -= result?.waitedMs ?? 0
      if (result) ended.push({ ...result, place })
      await forget(place, needs)
    } catch (error) {
      if (!(error instanceof AtlasError) || error instanceof Cancelled) throw error
      // One that cannot be ended does not keep the others.
      failure ??= error
    }
  }
  failure ??= fault
  if (failure !== undefined && ended.length === 0) throw failure

  if (credentials.source === 'env')
    terminal.notice('ATLAS_ACCESS_TOKEN is set: commands go on using that token until you unset it.')
  await publish(ended, all, needs)
  if (failure !== undefined) throw failure
}

/** Where the credentials are that are meant, and why there may be more than could be found. */
async function placesOf(
  all: boolean,
  { config, loginsInFiles }: Needs,
): Promise<{ places: LoginPlace[]; fault: AtlasError | undefined }> {
  const { profile, apiUrl, store, file } = config
  const configured = { profile: profile.value, apiUrl: apiUrl.value, store: store.value }
  const isConfigured = (place: LoginPlace): boolean =>
    place.profile === configured.profile && place.apiUrl === configured.apiUrl
  let fault: AtlasError | undefined
  // The config file may have been deleted, or a login killed before it was noted there.
  const inFiles = await loginsInFiles().catch((error: unknown): LoginPlace[] => {
    if (!(error instanceof AtlasError)) throw error
    fault = error
    return []
  })
  const current = file.logins.filter(({ email }) => email !== null)
  const isNamed = store.source === 'flag' || store.source === 'environment'
  const known = [...current, ...inFiles].filter(
    place => all || (isConfigured(place) && (!isNamed || place.store === configured.store)),
  )
  const unique = new Map(
    known.map(place => [JSON.stringify([place.profile, place.apiUrl, place.store]), place]),
  )
  if (unique.size > 0) return { places: [...unique.values()], fault: all ? fault : undefined }
  const mayBeInFiles = !isNamed || configured.store === 'file'
  return fault !== undefined && mayBeInFiles
    ? { places: [], fault }
    : { places: [configured], fault: undefined }
}

/** The credentials are gone, which is what was asked for: a config file that cannot say so is a notice. */
async function forget(
  { profile, apiUrl, store }: LoginPlace,
  { config, configFile, terminal }: Needs,
): Promise<void> {
  const login = loginAt(config.file, profile, apiUrl)
  if (login?.email == null || login.store !== store) return
  try {
    await configFile.update(file => withLogoutOf(file, profile, apiUrl))
  } catch (error) {
    if (!(error instanceof AtlasError) || error instanceof Cancelled) throw error
    terminal.notice(`${error.message} It still lists this login, which has ended.`)
  }
}

async function publish(
  ended: readonly Ended[],
  all: boolean,
  { config, terminal, now }: Needs,
): Promise<void> {
  if (terminal.json)
    return terminal.sayJson({
      logged_out: ended.map(({ place, session, serverTold }) => ({
        profile: place.profile,
        api_url: place.apiUrl,
        server_told: serverTold,
        access_valid_until: session?.expiresAt ?? null,
        session_valid_until: session?.sessionExpiresAt ?? null,
      })),
    })
  if (ended.length === 0)
    return terminal.say(
      all ? 'Nobody was logged in.' : `Not logged in to ${config.apiUrl.value}; nothing to do.`,
    )
  for (const { place, session, serverTold } of ended) {
    await terminal.say([
      styled('green', `Logged out of ${place.apiUrl}${session ? ` as ${session.email}` : ''}`),
    ])
    if (!serverTold)
      terminal.notice('The server could not be told. The credentials on this machine are deleted anyway.')
    if (session) terminal.notice(describeRemains(session, now()))
  }
}

/** What a copy of the tokens, if there were one, could still do: the server does not revoke them at logout. */
function describeRemains(
  { expiresAt, sessionExpiresAt }: NonNullable<EndedSession['session']>,
  now: Date,
): string {
  const until = (name: string, moment: Date | null): string | undefined => {
    if (moment === null) return `${name} until it expires`
    return moment > now ? `${name} until ${describeMoment(moment, now)}` : undefined
  }
  const remains = [until('the access token', expiresAt), until('the refresh token', sessionExpiresAt)].filter(
    Boolean,
  )
  return remains.length === 0
    ? 'Its tokens have expired.'
    : `Local credentials deleted. The server does not revoke tokens: a copied one still works (${remains.join(' and ')}).`
}

export const registerLogout: Register = (cli, context) =>
  cli
    .command('auth logout', 'Log out and delete the stored credentials')
    .option('--all', 'Every profile and server')
    .example('  $ atlas auth logout')
    .action(async (flags: Flags) =>
      logout({ all: flags.has('all') }, await context.run(flags, { worksOffline: true })),
    )
