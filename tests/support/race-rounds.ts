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
}): Promise<RaceFigures> {
  const { rounds, processes } = options
  await using atlas = await stage({ rotate: true, loginsPerMinute: Number.POSITIVE_INFINITY })
  const { server } = atlas
  const figures: RaceFigures = { rounds: 0, processes: 0, violations: [] }
  for (; figures.rounds < rounds; figures.rounds++) {
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
