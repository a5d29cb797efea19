import { type AtlasError, usageError } from '../../errors.ts'
import { isJsonObject } from '../../json-object.ts'

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json }

declare global {
  interface JSON {
    /** A value, frozen, that `stringify` writes as this text. TypeScript's library does not know it yet. */
    rawJSON(text: string): { [key: string]: never }
  }
}

/** One `-f` or `-F`; without a value it is an empty list. */
export interface Field {
  readonly key: string
  readonly value: Json | undefined
}

/** `key=value` as typed, or `key[]` alone. @throws {AtlasError} `usage` */
export function splitField(text: string, flag: string): { key: string; value: string | undefined } {
  const equals = text.indexOf('=')
  if (equals < 0 && text.endsWith('[]')) return { key: text, value: undefined }
  if (equals < 1) throw usageError(`${flag} needs key=value; "${text.slice(0, 80)}" is not that.`)
  return { key: text.slice(0, equals), value: text.slice(equals + 1) }
}

/** What a `-F` value means: true, false, null, a whole number, or the text itself. */
export function typedValue(text: string): Json {
  if (!/^(true|false|null|-?(0|[1-9]\d*))$/.test(text)) return text
  const value: Json = JSON.parse(text)
  // A larger number would be rounded.
  return typeof value === 'number' && !Number.isSafeInteger(value) ? JSON.rawJSON(text) : value
}

/**
 * The JSON object of `a=1`, `a[b]=1`, `a[]=1`, the empty list `a[]`, and lists of objects `a[][b]=1`, where a key
 * that the last object has already begins the next one, unless it is a list there.
 * @throws {AtlasError} `usage`: a key is malformed, or fields contradict each other.
 */
export function buildObject(fields: readonly Field[]): { [key: string]: Json } {
  const root: { [key: string]: Json } = Object.create(null)
  for (const { key, value } of fields) place(root, parseKey(key), value, key)
  return root
}

/** `a[b][]` to `['a', 'b', '']`; the empty name stands for the next entry of a list. */
function parseKey(key: string): string[] {
  const [, head, tail = ''] = /^([^[\]]+)((?:\[[^[\]]*\])*)$/.exec(key) ?? []
  if (head === undefined)
    throw usageError(`"${key.slice(0, 80)}" is not a field name.`, 'Write a, a[b] or a[].')
  return [head, ...[...tail.matchAll(/\[([^[\]]*)\]/g)].map(([, name = '']) => name)]
}

/** Put a value at a path below a list (whose entries have no name) or an object. */
function place(container: Json, [name = '', ...below]: string[], value: Json | undefined, key: string): void {
  const [next] = below
  const conflict = (): AtlasError => usageError(`The field "${key.slice(0, 80)}" contradicts an earlier one.`)
  const descend = (existing: Json | undefined): Json => {
    if (existing !== undefined && Array.isArray(existing) !== (next === '')) throw conflict()
    const entry = existing ?? (next === '' ? [] : Object.create(null))
    place(entry, below, value, key)
    return entry
  }
  if (Array.isArray(container)) {
    if (name !== '') throw conflict()
    const last = container.at(-1)
    const isOpen = isJsonObject(last) && next && (!(next in last) || Array.isArray(last[next]))
    if (next === undefined) container.push(...(value === undefined ? [] : [value]))
    else if (isOpen) descend(last)
    else container.push(descend(undefined))
    return
  }
  if (!isJsonObject(container) || Object.isFrozen(container) || name === '') throw conflict()
  if (next !== undefined) container[name] = descend(container[name])
  else if (name in container || value === undefined) throw conflict()
  else container[name] = value
}

/** Fields as query parameters: nested and list fields keep their brackets, null and empty lists carry nothing. */
export const toQuery = (fields: readonly Field[]): [string, string][] =>
  fields.flatMap(({ key, value }) => {
    if (value === undefined) return []
    if (value === null) return [[key, '']]
    return [[key, typeof value === 'string' ? value : JSON.stringify(value)]]
  })
