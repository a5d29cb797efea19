import fs from 'node:fs'
import { writeTemporary } from '../../lib/files/atomic.ts'

/** Leave a temporary file beside a file as a writer does that is killed. @returns its path. */
export function leaveTemporary(file: string, content: string): string {
  using writer = writeTemporary(file, content, { mode: 0o600 })
  const temporary = writer.path
  const { pid } = Bun.spawnSync(['true'])
  const abandoned = temporary.replace(`-${process.pid}-`, `-${pid}-`)
  fs.renameSync(temporary, abandoned)
  return abandoned
}
