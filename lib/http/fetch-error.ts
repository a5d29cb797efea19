import type { FetchError, FetchResponse } from 'ofetch'
import { AtlasError } from '../errors.ts'

// ofetch's class is told by its documented name: importing it would load ofetch with every command.
const isFetchError = (error: unknown): error is FetchError<unknown> =>
  error instanceof Error && error.name === 'FetchError'

/** What ofetch wraps around a failure, taken off again: the AtlasError itself, or the error as it is. */
export const unwrapFetchError = (error: unknown): unknown =>
  isFetchError(error) && error.cause instanceof AtlasError ? error.cause : error

/** The answer of 400 or above that a client threw; undefined where the error is another one. */
export const answerIn = <T>(error: unknown): FetchResponse<T> | undefined =>
  isFetchError(error) ? (error.response as FetchResponse<T> | undefined) : undefined
