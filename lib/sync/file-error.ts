import { AtlasError } from '../errors.ts'
import { type FaultKind, faultOf } from '../files/faults.ts'

/** What the system says of a file, as a `file_error` that names the file and the next step. */
export function fileError(file: string, error: unknown): unknown {
  const fault = faultOf(error)
  return fault === undefined
    ? error
    : unusable(file, fault.reason, NEXT_STEP[fault.kind] ?? 'Fix this and try again.')
}

/** Do something with a file. @throws {AtlasError} `file_error`, where it cannot be done. */
export function orFileError<T>(file: string, work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw fileError(file, error)
  }
}

/** @returns a `file_error` */
export const unusable = (file: string, reason: string, hint: string): AtlasError =>
  new AtlasError('file_error', `${file} cannot be used: ${reason}.`, hint)

const NEXT_STEP: Partial<Record<FaultKind, string>> = {
  denied: 'Check the permissions of the file and its folder, or choose another folder with --dir.',
  'read-only': 'Choose another folder with --dir.',
  full: 'Make room and try again; nothing was overwritten.',
  missing: 'Choose another folder with --dir.',
  occupied: 'Move it away, or choose another folder with --dir.',
  unfit: 'Move it away, or choose another folder with --dir.',
  loop: 'Correct the links, or choose another folder with --dir.',
}
