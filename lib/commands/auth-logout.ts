import type { Flags } from '../cli/flags.ts'
import { emailAt, type LoginPlace, loginAt, withoutRecord } from '../config/file.ts'
import type { Config } from '../config/load.ts'
import { type AtlasError, recoverable, usageError } from '../errors.ts'
import type { Run } from '../run.ts'
import type { Session } from '../session/record.ts'
import { type EndedSession, logOut } from '../session/session.ts'
import { styled } from '../terminal/style.ts'
import { describeMoment } from '../terminal/time.ts'
import type { Register } from './context.ts'

type Ended = EndedSession & { readonly place: LoginPlace }

/**
 * End the stored session, or all of them: tell the server, then delete locally whatever it said.
 * @throws {AtlasError} `store_*`, `lock_timeout`: some are still there; `usage`: the config file cannot be used, so
 * there may be more. The others are deleted, and reported.
 */
export async function logout({ all }: { all: boolean }, run: Run): Promise<void> {
  const { config, credentials, storedAs, terminal } = run
  const { fileFault, apiUrl, profile } = config
  if (!all && fileFault && apiUrl.source === 'default') throw withoutList(config)
  const { places, guess, fault } = await findPlaces(all, run)
  // All at once, so that they take no longer than the slowest, and one that fails does not stop the others.
  const attempts = places.map(async place => {
    try {
      return { place, ended: await logOut(storedAs(place), run, () => forget(place, run)) }
    } catch (error) {
      return { place, failure: recoverable(error) }
    }
  })
  const outcomes = await terminal.during('Logging out', Promise.all(attempts))
  const ended = outcomes.flatMap(({ place, ended }) => (ended ? [{ place, ...ended }] : []))
  const guessed = outcomes.find(({ place }) => place === guess)?.failure
  const failure = outcomes.find(outcome => outcome.place !== guess && outcome.failure)?.failure ?? fault
  if (all && config.file.logins.length === 0 && !fileFault) noticeMissingList(run)
  if (ended.length === 0 && (failure ?? guessed)) throw failure ?? guessed
  if (ended.length === 0 && !all && fileFault && profile.source === 'default') throw withoutList(config)

  if (guessed) terminal.notice(guessed.message)
  if (credentials.source === 'env')
    terminal.notice('ATLAS_ACCESS_TOKEN is set: commands go on using that token until you unset it.')
  await print(ended, all, run)
  if (failure !== undefined) throw failure
}

/** No keychain can be asked which logins it has: looking for that would unlock everything. */
function withoutList({ fileFault, store }: Config): AtlasError {
  const isOtherStore = store.source === 'environment' && store.value === 'file'
  return usageError(
    `${fileFault?.message ?? 'The config file is missing or lists no login.'} Without it, logins in the keychain cannot be listed.`,
    `End one with: atlas auth logout --profile NAME --api-url URL${isOtherStore ? ' (unset ATLAS_CREDENTIAL_STORE first)' : ''}`,
  )
}

function noticeMissingList({ config, terminal }: Run): void {
  const { message, hint = '' } = withoutList(config)
  for (const line of [message, hint]) terminal.notice(line)
}

/**
 * Where the credentials are, and why there may be more than could be found.
 * @returns with a `guess`: a place where nothing says that there are any, so that a failure there is none.
 */
async function findPlaces(all: boolean, { config, loginsInFiles }: Run) {
  const { profile, apiUrl, store, file, fileFault } = config
  const configured = { profile: profile.value, apiUrl: apiUrl.value, store: store.value }
  const isStoreGiven = store.source === 'flag' || store.source === 'environment'
  const isMeant = (place: LoginPlace): boolean =>
    place.profile === configured.profile &&
    place.apiUrl === configured.apiUrl &&
    (!isStoreGiven || place.store === configured.store)
  // The config file may have been deleted, or a login killed before it was noted there.
  const inFiles = await loginsInFiles()
  const listed = file.logins.filter(({ email }) => email !== null)
  const known = [...listed, ...inFiles.places].filter(place => all || isMeant(place))
  const [fault] = inFiles.faults
  const isListed = all ? file.logins.length > 0 : loginAt(file, profile.value, apiUrl.value) !== undefined
  const guess = isListed || isStoreGiven ? undefined : configured
  const places: LoginPlace[] = guess ? [guess] : []
  places.push(...(known.length > 0 || (all && fault) ? known : [configured]))
  // A record that cannot be read may be the one that is meant.
  const unread: LoginPlace = { ...configured, store: 'file' }
  if (!all && fault && isMeant(unread)) places.unshift(unread)
  const keyOf = (place: LoginPlace): string => JSON.stringify([place.profile, place.apiUrl, place.store])
  const unique = new Map(places.map(place => [keyOf(place), place]))
  const unfound = fileFault ? withoutList(config) : fault
  return { places: [...unique.values()], guess, fault: all ? unfound : undefined }
}

/** The credentials are deleted, which is what was asked for: a config file that cannot say so is a notice. */
async function forget(place: LoginPlace, { config, configFile, terminal }: Run): Promise<void> {
  if (config.file.logins.length === 0) return
  await configFile
    .update(file => withoutRecord(file, place))
    .catch(error => terminal.notice(`${recoverable(error).message} It still lists logins that have ended.`))
}

async function print(ended: readonly Ended[], all: boolean, { config, terminal, now }: Run): Promise<void> {
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
  const nobody = config.file.logins.length === 0 ? 'No login was found.' : 'Nobody was logged in.'
  if (ended.length === 0)
    return terminal.say(all ? nobody : `Not logged in to ${config.apiUrl.value}; nothing to do.`)
  for (const { place, session, serverTold } of ended) {
    const who = session ? ` as ${session.email}` : ''
    await terminal.say([styled('green', `Logged out of ${place.apiUrl}${who}`)])
    const listed = emailAt(config.file, place)
    if (session && listed && listed !== session.email)
      terminal.notice(`That login had replaced the one as ${listed}, which was here before.`)
    if (!serverTold)
      terminal.notice(
        'The server did not confirm the logout. The credentials on this machine are deleted anyway.',
      )
    if (session) terminal.notice(describeRemains(session, now()))
  }
}

/** What a copy of the tokens can still do: the server does not revoke them at logout. */
function describeRemains({ expiresAt, sessionExpiresAt }: Session, now: Date): string {
  const remains = [
    { name: 'the access token', end: expiresAt },
    { name: 'the refresh token', end: sessionExpiresAt },
  ]
    .filter(({ end }) => end === null || end > now)
    .map(({ name, end }) => `${name} until ${end ? describeMoment(end, now) : 'it expires'}`)
    .join(' and ')
  if (remains === '') return 'Its tokens have expired.'
  return `Local credentials deleted. The server does not revoke tokens: a copied one still works (${remains}).`
}

export const registerLogout: Register = (cli, context) =>
  cli
    .command('auth logout', 'Log out and delete the stored credentials')
    .option('--all', 'Every profile and server')
    .example('  $ atlas auth logout')
    .action(async (flags: Flags) =>
      logout(
        { all: flags.has('all') },
        await context.run(flags, { worksOffline: true, mayLackConfigFile: true }),
      ),
    )
