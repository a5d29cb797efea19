import type { FFIFunction, Library } from 'bun:ffi'

/** What the C library is called: that of GNU, those of musl, that of macOS. */
const NAMES: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  linux: ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1'],
  darwin: ['libSystem.B.dylib'],
}

/** System calls that the runtime does not offer; undefined where the C library is not found. */
export function openLibc<T extends Record<string, FFIFunction>>(calls: T): Library<T>['symbols'] | undefined {
  const { dlopen } = process.getBuiltinModule('bun:ffi') as typeof import('bun:ffi')
  for (const name of NAMES[process.platform] ?? [])
    try {
      return dlopen(name, calls).symbols
    } catch {
      // The next one, then.
    }
  return undefined
}

/** A text as the C library takes it. */
export const terminated = (text: string): Uint8Array => Buffer.from(`${text}\0`)
