import fs from 'node:fs'
import path from 'node:path'
import { absolutePath, requireHome, type Surroundings } from '../config/load.ts'
import type { Setting } from '../config/settings.ts'
import { AtlasError, errorCode } from '../errors.ts'
import { orFileError } from './file-error.ts'

const FILE_NAME = 'CLAUDE.md'
/** As many as Linux follows. */
const MAX_LINKS = 40

/** Where the synced file is. */
export interface Place {
  readonly folder: Setting<string>
  /** In that folder, as named to a person. */
  readonly file: string
  /** Where the file's symbolic links lead: the file that is read and replaced. It may not exist yet. */
  readonly target: string
}

/**
 * The file to sync: in `--dir`, `CLAUDE_CONFIG_DIR` or `~/.claude`.
 * @param dir as typed; relative to the current directory, as typed paths are.
 * @throws {AtlasError} `usage`: the folder is empty, or the environment's is relative; `file_error`: its links lead nowhere.
 */
export function findPlace(dir: string | undefined, surroundings: Surroundings): Place {
  const folder = syncFolder(dir, surroundings)
  const file = path.join(folder.value, FILE_NAME)
  return { folder, file, target: orFileError(file, () => followLinks(file)) }
}

function syncFolder(dir: string | undefined, { env, platform, homeFolder }: Surroundings): Setting<string> {
  const home = (): string => requireHome(homeFolder, platform, 'CLAUDE_CONFIG_DIR')
  if (dir === '') throw new AtlasError('usage', '--dir is empty.', 'Name a folder.')
  if (dir !== undefined) {
    // Shells leave the tilde of `--dir=~/x` alone; a folder named "~" is never meant.
    const expanded = /^~(?=$|\/)/.test(dir) ? home() + dir.slice(1) : dir
    return { value: path.resolve(expanded), source: 'flag', from: '--dir' }
  }
  const variable = 'CLAUDE_CONFIG_DIR'
  const value = env[variable]
  return value
    ? { value: path.resolve(absolutePath(value, variable, platform)), source: 'environment', from: variable }
    : { value: path.join(home(), '.claude'), source: 'default', from: 'default' }
}

/**
 * The path without symbolic links, as the kernel would walk it, but on past what does not exist:
 * `realpath` gives up there, and a link may name a file that is yet to be made.
 * @throws the file system's own error; ELOOP for a circle.
 */
export function followLinks(file: string): string {
  let { root: resolved } = path.parse(file)
  const pending = file.slice(resolved.length).split(path.sep)
  let followed = 0
  for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
    if (name === '' || name === '.') continue
    // Without links in it, the path above is what ".." means.
    const place = name === '..' ? path.dirname(resolved) : path.join(resolved, name)
    if (name === '..' || !isLink(place)) {
      resolved = place
      continue
    }
    if (++followed > MAX_LINKS) throw Object.assign(new Error('too many symbolic links'), { code: 'ELOOP' })
    const link = fs.readlinkSync(place)
    const { root } = path.parse(link)
    if (root !== '') resolved = root
    pending.unshift(...link.slice(root.length).split(path.sep))
  }
  return resolved
}

function isLink(place: string): boolean {
  try {
    return fs.lstatSync(place, { throwIfNoEntry: false })?.isSymbolicLink() ?? false
  } catch (error) {
    if (errorCode(error) === 'ENOTDIR') return false
    throw error
  }
}
