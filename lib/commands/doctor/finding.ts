import { recoverable } from '../../errors.ts'

export interface Finding {
  readonly status: 'ok' | 'warn' | 'fail'
  /** The result, and what else is worth knowing, each on a line of its own. */
  readonly detail: readonly string[]
  /** What to do; null where all is well. */
  readonly fix: string | null
}

export const ok = (...detail: string[]): Finding => ({ status: 'ok', detail, fix: null })

export const warn = (detail: string, fix: string | null = null): Finding => bad('warn', detail, fix)

export const fail = (detail: string, fix: string | null): Finding => bad('fail', detail, fix)

const bad = (status: 'warn' | 'fail', detail: string, fix: string | null): Finding => ({
  status,
  detail: [detail],
  fix,
})

export const notChecked = (reason: string): Finding => warn(`Not checked: ${reason}`)

export function failedBy(error: unknown): Finding {
  const { message, hint = null } = recoverable(error)
  return fail(message, hint)
}
