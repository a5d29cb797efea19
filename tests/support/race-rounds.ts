import { decodeRecord } from '../../lib/session/record.ts'
import { accountOf } from '../../lib/session/stored-session.ts'
import { LOGIN } from './binary.ts'
import { stage } from './stage.ts'

export interface RaceFigures {
  rounds: number
  processes: number
  /** What should not have happened. */
  violations: string[]
}

const REFRESH = 'POST /api/v1/auth/refresh'
const MIX = [
  ['auth', 'refresh'],
  ['auth', 'refresh'],
  ['api', '/auth/me'],
  ['auth', 'token'],
  LOGIN,
  ['auth', 'logout'],
]

/**
 * Log in, log out and refresh in many processes at once, and look afterwards whether what is stored is a
 * session that the server still knows, or nothing where somebody has logged out.
 */
export async function raceRounds(options: {
  readonly rounds: number
  readonly processes: number
  readonly goOn?: () => boolean
}): Promise<RaceFigures> {
  const { rounds, processes, goOn = () => true } = options
  await using atlas = await stage({ rotate: true })
  const { server } = atlas
  const figures: RaceFigures = { rounds: 0, processes: 0, violations: [] }
  for (; figures.rounds < rounds && goOn(); figures.rounds++) {
    const complain = (what: string): void => void figures.violations.push(`round ${figures.rounds}: ${what}`)
    await atlas.logIn()
    server.expireAccessTokens()
    const commands = Array.from(
      { length: processes },
      () => MIX[Math.floor(Math.random() * MIX.length)] ?? [],
    )
    const outcomes = await Promise.all(
      commands.map(command => atlas.run(command, { input: command === LOGIN ? 'correct horse' : '' })),
    )
    figures.processes += processes
    for (const [index, { status, stderr }] of outcomes.entries()) {
      if (status !== 0 && status !== 4)
        complain(`${commands[index]?.join(' ')} ended with ${status}: ${stderr}`)
    }
    if (server.reuses > 0) complain('a replaced refresh token was sent')
    const [file] = atlas.filesHolding('refresh_token')
    try {
      const { refreshToken } = file
        ? decodeRecord(accountOf('default', server.url), server.url, await Bun.file(file).text())
        : { refreshToken: null }
      if (refreshToken && !server.accepts(refreshToken)) complain('a session is stored that is over')
      const someoneLoggedOut = commands.some(command => command[1] === 'logout')
      if (!refreshToken && !someoneLoggedOut) complain('the session is lost')
    } catch (error) {
      complain(`what is stored is damaged: ${error}`)
    }
  }
  return figures
}

/**
 * Let many processes meet one expired token, again and again.
 * @param env on top of the file store's choice.
 */
export async function oneRefreshRounds(options: {
  readonly rounds: number
  readonly processes: number
  readonly env?: Record<string, string>
  readonly goOn?: () => boolean
}): Promise<RaceFigures> {
  const { rounds, processes, env = {}, goOn = () => true } = options
  await using atlas = await stage({ rotate: true, env })
  const { server } = atlas
  await atlas.logIn()
  const figures: RaceFigures = { rounds: 0, processes: 0, violations: [] }
  for (; figures.rounds < rounds && goOn(); figures.rounds++) {
    server.expireAccessTokens()
    server.forget()
    const outcomes = await Promise.all(
      Array.from({ length: processes }, () => atlas.run(['api', '/auth/me'])),
    )
    figures.processes += processes
    const failures = outcomes.filter(({ status }) => status !== 0)
    const refreshes = server.log().filter(line => line === REFRESH).length
    if (failures.length > 0 || refreshes !== 1 || server.reuses > 0)
      figures.violations.push(
        `round ${figures.rounds}: ${failures.length} failures (${failures[0]?.stderr ?? ''}), ${refreshes} refreshes, ${server.reuses} reuses`,
      )
  }
  return figures
}
