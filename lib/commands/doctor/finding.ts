import { AtlasError } from '../../errors.ts'

/** What a check found out. */
export interface Finding {
  readonly status: 'ok' | 'warn' | 'fail'
  readonly detail: string
  /** What else is worth knowing, each on a line of its own. */
  readonly more: readonly string[]
  /** What to do; null where all is well. */
  readonly fix: string | null
}

export const ok = (detail: string, ...more: readonly string[]): Finding => ({
  status: 'ok',
  detail,
  more,
  fix: null,
})

export const warn = (detail: string, fix: string | null = null): Finding => ({
  status: 'warn',
  detail,
  more: [],
  fix,
})

export const fail = (detail: string, fix: string | null): Finding => ({
  status: 'fail',
  detail,
  more: [],
  fix,
})

export const notChecked = (reason: string): Finding => warn(`Not checked: ${reason}`)

/** What an error says, as a finding. */
export const failedBy = (error: unknown): Finding => {
  if (error instanceof AtlasError) return fail(error.message, error.hint ?? null)
  throw error
}
