import manifest from '../package.json' with { type: 'json' }

export const VERSION = manifest.version

/** How atlas names itself to servers. */
export const USER_AGENT = `atlas-cli/${VERSION}`
