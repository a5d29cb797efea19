import type { Config } from '../config/load.ts'
import type { Credential, Credentials } from '../session/credentials.ts'
import type { User } from '../session/identity.ts'

/** Who is logged in where, as far as that is known. */
export interface LoginReport {
  readonly state: 'authenticated' | 'unverified' | 'rejected' | 'not_logged_in'
  readonly credential?: Pick<Credential, 'email' | 'expiresAt' | 'sessionExpiresAt'> | undefined
  readonly source: Credentials['source'] | null
  /** What the server said. */
  readonly user?: User | undefined
  /** Why the state is not `authenticated`. */
  readonly reason: string | null
}

/** Whose login it is: what the server said, or what was stored. A token's own claim is not proof. */
export const emailOf = ({ user, credential, source }: LoginReport): string | null =>
  user?.email ?? (source === 'env' ? null : credential?.email) ?? null

/** The JSON object of `login`, `status` and `refresh`. */
export const reportJson = (config: Config, report: LoginReport) => ({
  state: report.state,
  profile: config.profile.value,
  api_url: config.apiUrl.value,
  email: emailOf(report),
  username: report.user?.username ?? null,
  role: report.user?.role ?? null,
  source: report.source,
  store: config.store.value,
  expires_at: report.credential?.expiresAt ?? null,
  session_expires_at: report.credential?.sessionExpiresAt ?? null,
  reason: report.reason,
})
