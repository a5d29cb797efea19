import fs from 'node:fs'
import path from 'node:path'
import { absolutePath, requireHome, type Surroundings } from '../config/load.ts'
import type { Setting } from '../config/settings.ts'
import { errorCode, usageError } from '../errors.ts'
import { shellQuoted } from '../shell-quote.ts'
import { orFileError } from './local-file.ts'

const FILE_NAME = 'CLAUDE.md'

export interface Place {
  readonly folder: Setting<string>
  /** In that folder, as named to a person. */
  readonly file: string
  /** Where the file's symbolic links lead: the file that is read and replaced. It may not exist yet. */
  readonly target: string
}

/**
 * The file to sync: in `--dir`, `CLAUDE_CONFIG_DIR` or `~/.claude`.
 * @throws {AtlasError} `usage`: an empty folder, or a relative one in the environment; `file_error`: its
 * links cannot be followed.
 */
export function findPlace(dir: string | undefined, surroundings: Surroundings): Place {
  const folder = chooseFolder(dir, surroundings)
  const file = path.join(folder.value, FILE_NAME)
  return { folder, file, target: orFileError(file, () => followLinks(file)) }
}

function chooseFolder(dir: string | undefined, surroundings: Surroundings): Setting<string> {
  const { env, platform } = surroundings
  const variable = 'CLAUDE_CONFIG_DIR'
  const home = (): string => requireHome(surroundings, variable)
  if (dir === '') throw usageError('--dir is empty.', 'Name a folder.')
  if (dir !== undefined) {
    // Shells leave the tilde of `--dir=~/x` alone; a folder named "~" is never meant.
    const folder = path.resolve(/^~(?=$|\/)/.test(dir) ? home() + dir.slice(1) : dir)
    if (path.basename(folder) === FILE_NAME && !isFolder(folder))
      throw usageError(
        `--dir names the file ${FILE_NAME}, not its folder.`,
        `Give the folder: --dir ${shellQuoted(path.dirname(folder))}`,
      )
    return { value: folder, source: 'flag', from: '--dir' }
  }
  const value = env[variable]
  if (!value) return { value: path.join(home(), '.claude'), source: 'default', from: 'default' }
  const folder = path.resolve(absolutePath(value, variable, platform))
  return { value: folder, source: 'environment', from: variable }
}

const isFolder = (place: string): boolean =>
  fs.statSync(place, { throwIfNoEntry: false })?.isDirectory() ?? false

/** As many as Linux follows. */
const MAX_LINKS = 40

/**
 * The path without symbolic links; the last one may name a file that is yet to be made.
 * @throws the file system's own error; ELOOP for a circle.
 */
export function followLinks(file: string, linksLeft = MAX_LINKS): string {
  try {
    return fs.realpathSync(file)
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR'].includes(errorCode(error) ?? '')) throw error
  }
  // Without links in it, the folder is what ".." means.
  const folder = followLinks(path.dirname(file), linksLeft)
  const place = path.join(folder, path.basename(file))
  const link = linkAt(place)
  if (link === undefined) return place
  if (linksLeft === 0) throw Object.assign(new Error('too many symbolic links'), { code: 'ELOOP' })
  return followLinks(path.isAbsolute(link) ? link : `${folder}${path.sep}${link}`, linksLeft - 1)
}

function linkAt(place: string): string | undefined {
  try {
    return fs.readlinkSync(place)
  } catch {
    // Not a link, or not there; anything else shows when the file is read.
    return undefined
  }
}
