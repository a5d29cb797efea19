import { createSandbox, type Sandbox, type User } from './binary.ts'
import { testWith } from './needs.ts'

const NOBODY: User = { uid: 65_534, gid: 65_534 }

/** Whether files can be given to somebody else and programs be run as somebody else. */
const isRoot = process.getuid?.() === 0

/** A test in which a second user takes part. */
export const twoUsersTest = testWith('root, to act as two users', isRoot)

/** A sandbox of a user whom permissions bind. Root is not such a user, and continuous integration is root. */
export const createUnprivilegedSandbox = (
  env?: Record<string, string>,
  user: User | undefined = isRoot ? NOBODY : undefined,
): Sandbox => createSandbox(env, user)
