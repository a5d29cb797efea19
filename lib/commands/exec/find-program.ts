import fs from 'node:fs'
import path from 'node:path'
import { AtlasError } from '../../errors.ts'
import { shellQuoted } from '../../shell-quote.ts'
import { type Bytes, bufferOf, textOf } from './bytes.ts'

/** Where a program is looked for if PATH is not set. @see execvp(3) */
const DEFAULT_PATH = '/bin:/usr/bin'

/** A program that could not be run; ends as in shells. @see POSIX, XCU §2.8.2 */
export class ProgramError extends AtlasError {
  override readonly exitStatus: 126 | 127

  constructor(exitStatus: 126 | 127, message: string, hint?: string) {
    super('file_error', message, hint)
    this.exitStatus = exitStatus
  }
}

export function notFound(name: string): ProgramError {
  const message = name.includes('/') ? `${name} does not exist.` : `There is no program "${name}" in PATH.`
  // As in "ls -l", "a | b" and X=1.
  const hint = /[\s|&;<>=$*]/.test(name)
    ? `No shell reads it; if one is meant: atlas exec -- sh -c ${shellQuoted(name)}`
    : 'Check its name, or give its path.'
  return new ProgramError(127, message, hint)
}

/**
 * The file of a program: in PATH, or as named where the name has a slash.
 * @throws {ProgramError} 127: it is not there; 126: it cannot be executed.
 */
export function findProgram(name: Bytes, searchPath: Bytes | undefined): Bytes {
  if (name === '') throw notFound(name)
  // An empty entry means the current folder, as it does to a shell.
  const folders = (searchPath || DEFAULT_PATH).split(':').map(folder => folder || '.')
  const files = name.includes('/') ? [name] : folders.map(folder => path.posix.join(folder, name))
  const faults = files.map(file => ({ file, fault: faultOf(file) }))
  const usable = faults.find(({ fault }) => fault === undefined)
  if (usable !== undefined) return relative(usable.file)
  const unusable = faults.find(({ fault }) => fault !== 'missing')
  if (unusable === undefined) throw notFound(textOf(name))
  const file = textOf(unusable.file)
  if (unusable.fault === 'folder') throw new ProgramError(126, `${file} is a folder.`)
  const hint = `If it is meant to be, run: chmod +x ${shellQuoted(file)}`
  throw new ProgramError(126, `${file} is not executable.`, hint)
}

const relative = (file: Bytes): Bytes => (file.includes('/') ? file : `./${file}`)

function faultOf(bytes: Bytes): 'missing' | 'folder' | 'denied' | undefined {
  const file = bufferOf(bytes)
  try {
    if (fs.statSync(file).isDirectory()) return 'folder'
    fs.accessSync(file, fs.constants.X_OK)
    return undefined
  } catch {
    return fs.existsSync(file) ? 'denied' : 'missing'
  }
}
