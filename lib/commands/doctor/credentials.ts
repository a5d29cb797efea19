import { loginCommand } from '../../config/settings.ts'
import type { Run } from '../../run.ts'
import { describeMoment } from '../../terminal/time.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

export async function checkCredentials({ config, credentials, now }: Run): Promise<Finding> {
  const credential = await credentials.find()
  if (credential === undefined) return warn('Not logged in.', `Log in with: ${loginCommand(config)}`)
  const { email, expiresAt, sessionExpiresAt: endsAt } = credential
  if (credentials.source === 'env') {
    const said = expiresAt ? [`It claims to be valid until ${describeMoment(expiresAt, now())}.`] : []
    return ok('ATLAS_ACCESS_TOKEN is set and overrides the store.', ...said)
  }
  // Enough of an e-mail to tell accounts apart, in a report that may be published.
  const who = `Logged in as ${(email ?? '').replace(/^(.)[^@]*/, '$1…')}`
  if (endsAt && endsAt < now())
    return fail(`${who}, but the session ended ${describeMoment(endsAt, now())}.`, credentials.renewHint)
  return ok(
    `${who}.`,
    ...(endsAt ? [`The session ends ${describeMoment(endsAt, now())}.`] : []),
    'The server was not asked whether it agrees; atlas auth status does that.',
  )
}
