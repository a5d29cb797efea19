import { shellQuoted } from '../terminal/shell-quote.ts'
import type { Config } from './load.ts'
import { hasNoPath } from './server.ts'

/** A setting in words: what it is, and the flag, variable or file that gave it. */
export interface DescribedSetting {
  readonly name: string
  readonly value: string
  readonly from: string
}

/** Every setting and where it came from, the token's value left out. */
export function describeSettings(config: Config): DescribedSetting[] {
  const { apiUrl, profile, store, timeoutMs, keychainTimeoutMs, allowHttp, mayAsk, accessToken, folder } =
    config
  const seconds = ({ value, from }: { value: number; from: string }) => ({ value: `${value / 1000} s`, from })
  const said = ({ value, from }: { value: boolean; from: string }) => ({ value: value ? 'yes' : 'no', from })
  return [
    { name: 'server', ...apiUrl },
    { name: 'profile', ...profile },
    { name: 'store', ...store },
    { name: 'timeout', ...seconds(timeoutMs) },
    { name: 'keychain wait', ...seconds(keychainTimeoutMs) },
    { name: 'plain http allowed', ...said(allowHttp) },
    { name: 'questions allowed', ...said(mayAsk) },
    {
      name: 'ready-made token',
      value: accessToken.value === undefined ? 'none' : 'set',
      from: accessToken.from,
    },
    { name: 'folder', ...folder },
  ].map(({ name, value, from }) => ({ name, value, from }))
}

/**
 * What to do about a 404 where a ready-made token goes to a server's origin: only a login looks for the API
 * below it. Undefined where that is not the case.
 */
export const apiPathHint = ({ apiUrl, accessToken }: Config): string | undefined =>
  accessToken.value !== undefined && hasNoPath(apiUrl.value)
    ? `With ATLAS_ACCESS_TOKEN the server URL needs the API's path too: ${apiUrl.value}/api/v1`
    : undefined

/** The command that logs in to what this run was pointed at by flags, which a later one would not know. */
export function loginCommand({ apiUrl, profile }: Config): string {
  const flags = [
    ...(apiUrl.source === 'flag' ? [` --api-url ${shellQuoted(apiUrl.value)}`] : []),
    ...(profile.source === 'flag' ? [` --profile ${shellQuoted(profile.value)}`] : []),
  ]
  return `atlas auth login${flags.join('')}`
}
