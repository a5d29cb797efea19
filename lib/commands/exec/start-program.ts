import { errorCode } from '../../errors.ts'
import { notFound, ProgramError } from './find-program.ts'

/**
 * Run a program as a child, with the streams of this process: Windows cannot put it in this one's place.
 * @param command its name as typed, which is found as Windows finds it, scripts included, and its arguments.
 * @returns its exit status. @throws {ProgramError} it could not be started.
 */
export async function startProgram(
  [name = '', ...args]: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const { default: spawn } = await import('cross-spawn')
  const child = spawn(name, args, { stdio: 'inherit', env })
  return new Promise((resolve, reject) => {
    child.on('error', error => {
      const code = errorCode(error)
      reject(
        code === 'ENOENT' ? notFound(name) : new ProgramError(126, `${name} cannot be started (${code}).`),
      )
    })
    child.on('exit', status => resolve(status ?? 1))
  })
}
