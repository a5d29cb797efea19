import type { CAC, Command } from 'cac'
import type { Flags } from '../cli/flags.ts'
import { type Login, loginAt, withLogoutOf } from '../config/file.ts'
import { AtlasError, Cancelled } from '../errors.ts'
import type { System } from '../run.ts'
import { type EndedSession, LOGOUT_TIMEOUT_MS } from '../session/session.ts'
import { styled } from '../terminal/style.ts'
import { describeMoment } from '../terminal/time.ts'
import type { Context } from './context.ts'

type Target = Omit<Login, 'email'>

export interface LogoutOptions {
  readonly all: boolean
}

/** A session that was ended, and where it was stored. */
interface Ended extends EndedSession {
  readonly target: Target
}

type Needs = Pick<
  System,
  'config' | 'sessionsOf' | 'sessionsInFiles' | 'terminal' | 'now' | 'fixedToken' | 'updateConfigFile'
>

/**
 * End the stored session, or all of them: tell the server, then delete locally whatever it said.
 * @throws {AtlasError} `store_*`, `lock_timeout`: credentials could not be deleted and are still there;
 * those that could be are gone, and reported.
 */
export async function logout({ all }: LogoutOptions, needs: Needs): Promise<void> {
  const { config, sessionsOf, sessionsInFiles, terminal, fixedToken } = needs
  const configured = { profile: config.profile.value, apiUrl: config.apiUrl.value, store: config.store.value }
  // A login to one store leaves what an earlier one put into another; logging out means both, unless
  // one store is named.
  const storeIsNamed = config.store.source === 'flag' || config.store.source === 'environment'
  const isMeant = ({ profile, apiUrl, store }: Target): boolean =>
    all ||
    (profile === configured.profile &&
      apiUrl === configured.apiUrl &&
      (!storeIsNamed || store === configured.store))
  // The config file may have been deleted, or a login killed before it was noted there.
  const inFiles = await sessionsInFiles()
  const inFile: Target = { ...configured, store: 'file' }
  const mayBeFaulty = inFiles.faults.length > 0 && isMeant(inFile)
  // What cannot be read may be there all the same.
  const faulty = mayBeFaulty && (await cannotBeRead(sessionsOf(inFile))) ? [inFile] : []
  const listed = unique([
    ...[...config.file.logins.filter(({ email }) => email !== null), ...inFiles.sessions].filter(isMeant),
    ...faulty,
  ])
  // A store that nobody named and nothing points to need not exist.
  const isGuess = all || config.store.source === 'default'
  const targets = isGuess && listed.length > 0 ? listed : unique([...listed, configured])

  const ended: Ended[] = []
  let failure: AtlasError | undefined
  // All servers together are waited for no longer than one alone; one that hangs does not use it all up.
  let tellMs = LOGOUT_TIMEOUT_MS
  for (const [index, target] of targets.entries()) {
    const { sessions } = sessionsOf(target)
    try {
      const ending = sessions.logOut(Math.max(1, tellMs / (targets.length - index)))
      const result = await terminal.during(`Logging out of ${target.apiUrl}`, ending)
      tellMs -= result?.waitedMs ?? 0
      if (result) ended.push({ ...result, target })
      // The credentials are gone, which is what was asked for.
      await forget(target, needs).catch((error: unknown) => {
        if (!(error instanceof AtlasError) || error instanceof Cancelled) throw error
        terminal.notice(`${error.message} It goes on naming this login, which is ended all the same.`)
      })
    } catch (error) {
      if (!(error instanceof AtlasError) || error instanceof Cancelled) throw error
      // One that cannot be ended does not keep the others.
      failure ??= error
    }
  }
  if (all) failure ??= inFiles.faults[0]
  if (failure !== undefined && ended.length === 0) throw failure

  if (fixedToken !== undefined)
    terminal.notice('ATLAS_ACCESS_TOKEN is set: commands go on using that token until you unset it.')
  await publish(ended, all, configured.apiUrl, needs)
  if (failure !== undefined) throw failure
}

const cannotBeRead = ({ sessions }: ReturnType<Needs['sessionsOf']>): Promise<boolean> =>
  sessions.current().then(
    () => false,
    () => true,
  )

async function publish(
  ended: readonly Ended[],
  all: boolean,
  apiUrl: string,
  { terminal, now }: Pick<Needs, 'terminal' | 'now'>,
): Promise<void> {
  if (terminal.json) {
    return terminal.sayJson({
      logged_out: ended.map(({ target, session, serverTold }) => ({
        profile: target.profile,
        api_url: target.apiUrl,
        server_told: serverTold,
        access_valid_until: session?.expiresAt ?? null,
        session_valid_until: session?.sessionExpiresAt ?? null,
      })),
    })
  }
  if (ended.length === 0)
    return terminal.say(all ? 'Nobody was logged in.' : `Not logged in to ${apiUrl}; nothing to do.`)
  for (const { target, session, serverTold } of ended) {
    await terminal.say([
      styled('green', `Logged out of ${target.apiUrl}${session ? ` as ${session.email}` : ''}`),
    ])
    if (!serverTold)
      terminal.notice(
        'The server could not be told; the credentials on this machine are deleted all the same.',
      )
    if (session) terminal.notice(describeRemains(session, now()))
  }
}

/** What a copy of the tokens, if there were one, could still do: the server does not end them at logout. */
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
    : `No copy is left on this machine. The server itself ends no tokens: it would accept a copy of ${remains.join(' and of ')}.`
}

/** Note the logout in the config file; the profile goes on knowing its server. */
async function forget(
  { profile, apiUrl, store }: Target,
  { config, updateConfigFile }: Needs,
): Promise<void> {
  const known = loginAt(config.file, profile, apiUrl)
  if (known?.store === store && known.email !== null)
    await updateConfigFile(file => withLogoutOf(file, profile, apiUrl))
}

const unique = (targets: readonly Target[]): Target[] => [
  ...new Map(
    targets.map(target => [JSON.stringify([target.profile, target.apiUrl, target.store]), target]),
  ).values(),
]

export const registerLogout = (cli: CAC, context: Context): Command =>
  cli
    .command('auth logout', 'Log out and delete the stored credentials')
    .option('--all', 'Every profile and server')
    .example('  $ atlas auth logout')
    .action(async (flags: Flags) =>
      logout({ all: flags.has('all') }, await context.system(flags, { worksOffline: true })),
    )
