import { apiPathHint, loginCommand } from '../../config/settings.ts'
import { type AtlasError, EXIT_CODE, recoverable } from '../../errors.ts'
import type { Run } from '../../run.ts'
import type { Credential } from '../../session/credentials.ts'
import { whoIs } from '../../session/identity.ts'
import { describeMoment } from '../../terminal/time.ts'
import { type Finding, fail, failedBy, notChecked, ok, warn } from './finding.ts'

/** Whether the server accepts the credentials: a session is refreshed if need be, as any command would. */
export async function checkCredentials(run: Run): Promise<Finding> {
  const { config, credentials, secrets } = run
  const found = await credentials.find().catch(recoverable)
  if (found === undefined) return warn('Not logged in.', `Log in with: ${loginCommand(config)}`)
  if (found instanceof Error) return shortened(failedBy(found))
  const ended = endOf(found, run)
  if (ended && credentials.source !== 'env')
    return fail(`${nameOf(found, run)}, but ${ended}.`, credentials.renewHint)

  const { kind, error } = { error: undefined, ...(await whoIs(found, run)) }
  if (error) return shortened(judge(secrets.mask(error.message), error, ended, run))
  if (kind === 'confirmed')
    return ok(`${nameOf(found, run)}.`, 'The server accepts it.', ...(await remarks(found, run)))
  const hint = apiPathHint(config)
  const unknown = `${nameOf(found, run)}, but the server cannot confirm it (404).`
  return hint ? fail(unknown, hint) : warn(unknown)
}

function judge(message: string, error: AtlasError, ended: string | undefined, { credentials }: Run): Finding {
  if (error.exitStatus === EXIT_CODE.token_rejected) {
    const cause = ended ? ` The likely cause: ${ended}.` : ''
    const what = credentials.source === 'env' ? 'ATLAS_ACCESS_TOKEN is set, but ' : ''
    return fail(`${what}${message}${cause}`, error.hint ?? credentials.renewHint)
  }
  if (ended) return fail(`ATLAS_ACCESS_TOKEN is set, but ${ended}.`, credentials.renewHint)
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

/** Why the credential has come to its end by this machine's clock. */
function endOf({ expiresAt, sessionExpiresAt }: Credential, { credentials, now }: Run): string | undefined {
  const isReady = credentials.source === 'env'
  const end = isReady ? expiresAt : sessionExpiresAt
  if (!end || end > now()) return undefined
  return isReady
    ? `it claims to have expired ${describeMoment(end, now())}`
    : `the session ended ${describeMoment(end, now())}`
}

async function remarks(found: Credential, { credentials, now }: Run): Promise<string[]> {
  const { expiresAt, sessionExpiresAt } = (await credentials.find().catch(() => found)) ?? found
  if (credentials.source === 'env')
    return expiresAt ? [`It claims to be valid until ${describeMoment(expiresAt, now())}.`] : []
  return sessionExpiresAt ? [`The session ends ${describeMoment(sessionExpiresAt, now())}.`] : []
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
