import { AtlasError } from '../errors.ts'

export const ALTERNATIVES =
  'use "atlas auth login --store file" (plain text, readable by you alone), or set ATLAS_ACCESS_TOKEN'

/** What is stored is not what atlas wrote. It is kept, since it is no proof of being logged out. */
export class DamagedRecord extends AtlasError {
  constructor(account: string, reason: string) {
    super(
      'store_unavailable',
      `The stored credentials of ${account} cannot be used: ${reason}.`,
      'Replace them with "atlas auth login", or delete them with "atlas auth logout".',
    )
  }
}
