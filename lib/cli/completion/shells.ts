/** The shells that a completion script exists for. */
export const SHELLS = ['bash', 'zsh', 'fish', 'powershell'] as const
export type Shell = (typeof SHELLS)[number]

/** The hidden command that the scripts call; its arguments are the words typed so far. */
export const COMPLETE_COMMAND = '__complete'
