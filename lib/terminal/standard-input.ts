import { AtlasError, errorCode } from '../errors.ts'

/**
 * Standard input, piece by piece.
 * @throws {AtlasError} `usage`: it is a folder, or cannot be read.
 */
export async function* standardInput(
  read: () => AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* read()
  } catch (error) {
    const code = errorCode(error)
    if (code === undefined) throw error
    throw new AtlasError(
      'usage',
      code === 'EISDIR' ? 'Standard input is a folder.' : `Standard input cannot be read (${code}).`,
      'Give a file or a pipe.',
    )
  }
}
