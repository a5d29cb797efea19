import { loginCommand } from '../../config/settings.ts'
import type { Run } from '../../run.ts'
import { describeMoment } from '../../terminal/time.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

export async function checkCredentials({
  config,
  credentials,
  now,
}: Pick<Run, 'config' | 'credentials' | 'now'>): Promise<Finding> {
  const credential = await credentials.find()
  if (credential === undefined) return warn('Not logged in.', `Log in with: ${loginCommand(config)}`)
  const { email, expiresAt, sessionExpiresAt: ends } = credential
  if (credentials.source === 'env') {
    const until = expiresAt ? [`By its own word it is valid until ${describeMoment(expiresAt, now())}.`] : []
    return ok('ATLAS_ACCESS_TOKEN is set and beats the store.', ...until)
  }
  const said = `Logged in as ${shortenedEmail(email ?? '')}`
  if (ends && ends < now())
    return fail(`${said}, but the session ended ${describeMoment(ends, now())}.`, credentials.renewHint)
  return ok(
    `${said}.`,
    ...(ends ? [`The session ends ${describeMoment(ends, now())}.`] : []),
    'The server was not asked whether it agrees; atlas auth status does that.',
  )
}

/** Enough of an e-mail to tell accounts apart, in a report that may be published. */
const shortenedEmail = (email: string): string => email.replace(/^(.)[^@]*/, '$1…')
