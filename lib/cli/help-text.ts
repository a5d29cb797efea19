import { ALL_SETTINGS, variableHelp } from '../config/settings.ts'
import { EXIT_CODE, SIGNAL_STATUS } from '../errors.ts'

/*
 * What help and the manual page say beside the definitions of commands and flags.
 */

export const INTRODUCTION =
  'atlas logs in to an Atlas server, keeps the session in the keychain and makes authenticated requests.'

/** Commands that belong together, by their first words, in the order in which people meet them. */
export const GROUPS: Readonly<Record<string, readonly string[]>> = {
  Session: ['auth'],
  Requests: ['api'],
  Configuration: ['sync', 'status'],
  'Help and repair': ['doctor', 'completion'],
}

/** What a group of commands is for, by the word they share. */
export const GROUP_INTRODUCTIONS: Readonly<Record<string, string>> = {
  auth: 'Log in, log out and see who is logged in.',
}

/** What is worth knowing about a command beyond its flags, a paragraph each. */
export const DETAILS: Readonly<Record<string, readonly string[]>> = {
  'auth login': [
    'Name the server with --api-url, as its origin or with the path of its API: login finds the API below an origin by itself. Server and store are remembered for the profile, so later commands need neither.',
    'No flag takes a password. In scripts, pipe it into --password-stdin. The credential store is tried before anything is asked.',
  ],
  'auth status': [
    'Ends with 0 where the server confirms the login, or has no way to (404); with 4 where nobody is logged in; with 5 where the server could not be asked.',
  ],
  'auth token': [
    'The session is refreshed first where its token would end too soon. Where the server gives none that lives long enough, the command ends with 1.',
  ],
  'auth logout': [
    'The stored credentials are deleted whatever the server says. A server may go on accepting copies of the tokens until they expire; the command says until when.',
  ],
  api: [
    'PATH is relative to the API, with or without a leading slash. An absolute URL must be on the same server.',
    'Fields make a JSON body, or the query of a GET. A key may be nested, as in a[b]=1; a[]=1 adds to a list, and a[] is an empty one. With -F, true, false, null and whole numbers are what they look like, @file is the text of a file and @- that of standard input.',
    'The body of the answer goes to a pipe or a file as it came, whatever its length. On a terminal JSON is indented. A status of 300 or above ends the command with 1, and 401 with 4.',
  ],
  sync: [
    'What you have edited since the last sync is not overwritten: the command shows what differs and ends with 1. So does a first sync over a file that is not the server’s text. --force overwrites and keeps your text as a dated backup beside the file, the newest five.',
    'Where nothing differs nothing is written, so a cron job or a login hook may run it as often as it likes. A dry run ends with 0 whatever it finds.',
  ],
  status: [
    'Who is logged in is shown by "atlas auth status".',
    'The verdict is one of in_sync, remote_changed, local_changed, diverged, local_missing, remote_empty and unknown. What is known of the file is told all the same where nobody is logged in (4), the server cannot be asked (5), the store cannot be used (6) or the file cannot be read (1).',
  ],
  doctor: [
    'The report holds no secret, and home folders and e-mail addresses are shortened, so it can be shared. Where something is broken the command ends with 1.',
  ],
  completion: [
    'For PowerShell, put this line into $PROFILE: atlas completion powershell | Out-String | Invoke-Expression',
  ],
}

export const PRECEDENCE =
  'A flag overrides a variable, and a variable the config file. An empty variable counts as unset.'

/** The variables that atlas reads. */
export const ENVIRONMENT: readonly (readonly [name: string, meaning: string])[] = [
  ...ALL_SETTINGS.flatMap(setting =>
    setting.variable === undefined ? [] : [[setting.variable, variableHelp(setting)] as const],
  ),
  ['CLAUDE_CONFIG_DIR', 'The folder of CLAUDE.md (sync --dir; default: ~/.claude)'],
  ['NO_COLOR, FORCE_COLOR', 'Never use colours; always use them'],
  ['TERM', 'dumb: plain prompts without colours, spinner or progress, for screen readers too'],
  ['HTTPS_PROXY, HTTP_PROXY, NO_PROXY', 'The proxy for other machines, and its exceptions'],
  ['NODE_EXTRA_CA_CERTS', 'A file of certificate authorities to trust besides those of the system'],
]

const MEANINGS: Readonly<Record<number, string>> = {
  0: 'Done',
  1: 'Failed; api got a status of 300 or above',
  2: 'Used wrongly, or would have to ask and may not',
  4: 'Log in (again)',
  5: 'Could not find out; trying again may work',
  6: 'The credential store is locked, absent, denied or silent',
}

/** Every way in which atlas ends, with its error codes. */
export const EXIT_STATUSES: readonly { readonly status: string; readonly meaning: string }[] = [
  ...Object.entries(MEANINGS).map(([status, meaning]) => {
    const codes = Object.entries(EXIT_CODE).filter(([, exit]) => exit === Number(status))
    return { status, meaning: [meaning, codes.map(([code]) => code).join(', ')].filter(Boolean).join(': ') }
  }),
  {
    status: Object.values(SIGNAL_STATUS).join(', '),
    meaning: 'Interrupted by INT (or Ctrl-C at a prompt), TERM, HUP, QUIT: cancelled',
  },
]

/** What can be read with `atlas help` besides commands. */
export const TOPICS = ['environment', 'exit-codes'] as const
export type Topic = (typeof TOPICS)[number]

export const isTopic = (words: readonly string[]): words is readonly [Topic] =>
  words.length === 1 && TOPICS.some(topic => topic === words[0])
