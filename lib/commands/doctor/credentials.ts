import { loginCommand } from '../../config/settings.ts'
import { type AtlasError, EXIT_CODE, recoverable } from '../../errors.ts'
import type { Run } from '../../run.ts'
import type { Credential } from '../../session/credentials.ts'
import { whoIs } from '../../session/identity.ts'
import { endsWithin, SOON_MS } from '../../session/record.ts'
import { describeMoment } from '../../terminal/time.ts'
import { type Finding, fail, failedBy, notChecked, ok, warn } from './finding.ts'

/** Whether the server accepts the credentials: a session is refreshed if need be, as any command would. */
export async function checkCredentials(run: Run): Promise<Finding> {
  const { config, credentials, secrets, now } = run
  const found = await credentials.find().catch(recoverable)
  if (found === undefined) return warn('Not logged in.', `Log in with: ${loginCommand(config)}`)
  if (found instanceof Error) return shortened(failedBy(found))
  const { sessionExpiresAt: end } = found
  if (end && end <= now())
    return fail(
      `${nameOf(found, run)}, but the session ended ${describeMoment(end, now())}.`,
      credentials.renewHint,
    )

  const { kind, error } = { error: undefined, ...(await whoIs(found, run)) }
  if (error) return shortened(judge(secrets.mask(error.message), error, run))
  if (kind === 'confirmed') return accepted((await credentials.find().catch(() => found)) ?? found, run)
  return warn(`${nameOf(found, run)}, but the server cannot confirm it (404).`)
}

function judge(message: string, error: AtlasError, { credentials }: Run): Finding {
  if (error.exitStatus === EXIT_CODE.token_rejected) {
    const what = credentials.source === 'env' ? 'ATLAS_ACCESS_TOKEN is set, but ' : ''
    return fail(`${what}${message}`, error.hint ?? credentials.renewHint)
  }
  const fault = credentials.tokenFault()
  if (fault !== undefined) return fail(`${fault}.`, credentials.renewHint)
  return UNREACHED.has(error.code) ? notChecked(message) : fail(message, error.hint ?? null)
}

/** What says nothing of the credentials, and is found by another check where it lasts. */
const UNREACHED = new Set<AtlasError['code']>([
  'network',
  'tls',
  'timeout',
  'rate_limited',
  'insecure_url',
  'usage',
])

function accepted(found: Credential, run: Run): Finding {
  const { credentials, now } = run
  const { expiresAt, sessionExpiresAt } = found
  const said = [`${nameOf(found, run)}.`, 'The server accepts it.']
  if (credentials.source === 'env') {
    const fault = credentials.tokenFault()
    if (fault !== undefined)
      return { ...warn(`${fault}, but the server accepts it.`), fix: credentials.renewHint }
    return expiresAt
      ? ok(...said, `It claims to be valid until ${describeMoment(expiresAt, now())}.`)
      : ok(...said)
  }
  if (sessionExpiresAt === null) return ok(...said)
  const detail = [...said, `The session ends ${describeMoment(sessionExpiresAt, now())}.`]
  return endsWithin(sessionExpiresAt, SOON_MS, now())
    ? { status: 'warn', detail, fix: credentials.renewHint }
    : ok(...detail)
}

const nameOf = ({ email }: Credential, { credentials }: Run): string =>
  credentials.source === 'env'
    ? 'ATLAS_ACCESS_TOKEN is set and overrides the store'
    : shorten(`Logged in as ${email}`)

/** Enough of an e-mail to tell accounts apart, in a report that may be published; an account name stays. */
const shorten = (text: string): string => text.replace(/(?<!\S)(\S)[^\s@]*@(?!https?:)/g, '$1…@')

const shortened = ({ status, detail, fix }: Finding): Finding => ({
  status,
  detail: detail.map(shorten),
  fix,
})
