import { ALL_SETTINGS, variableHelp } from '../config/settings.ts'
import { type AtlasCode, EXIT_CODE } from '../errors.ts'

/* What help and the manual page say beside the definitions of commands and flags. */

export const INTRODUCTION =
  'atlas logs in to an Atlas server, keeps the session in the keychain and makes authenticated requests.'

/** What is worth knowing about a command or a group beyond its flags, a paragraph each. */
export const DETAILS: Readonly<Record<string, readonly string[]>> = {
  auth: ['Log in, log out and see who is logged in.'],
  'auth login': [
    'Name the server with --api-url, with or without the path of its API: login finds the API before it asks for anything. The server and the store are remembered for the profile, so later commands need neither flag.',
    'No flag takes a password. In scripts, pipe it into --password-stdin. The credential store is tested before you are prompted.',
  ],
  'auth status': [
    'Exits 0 if the server confirms the login or has no way to (404), 4 if nobody is logged in, 5 if the server could not be asked.',
  ],
  'auth token': [
    'The session is refreshed first if its token would expire too soon. If the server gives no token that lives long enough, the command exits 1.',
  ],
  'auth logout': [
    'The stored credentials are deleted whatever the server says. A server may still accept copies of the tokens until they expire; the command says until when.',
  ],
  api: [
    'PATH is relative to the API, with or without a leading slash or /api/v1. An absolute URL must be on the same server. GET and HEAD follow redirects within the API.',
    'Fields make a JSON body, or the query of a GET. A key may be nested, as in a[b]=1; a[]=1 adds to a list, and a[] is an empty list. With -F, true, false, null and whole numbers are sent as JSON values, @file as the text of a file and @- as that of standard input.',
    'The response body is written to a pipe or a file unchanged, whatever its length. On a terminal JSON is indented. The command exits 1 after a status of 300 or above, and 4 after 401.',
    'With --paginate a list that has "items" and "page" is asked for page by page. If a page cannot be had, the array is left open and the command fails. With --jq strings are printed as they are, and other values as JSON; of a paginated list it gets all items at once.',
  ],
  exec: [
    'The token is in ATLAS_ACCESS_TOKEN, and the address of the API in ATLAS_API_URL: on no command line and in no log. It is refreshed first if it would expire too soon, and is not renewed while the program runs.',
    'The program takes the place of atlas: streams, terminal, signals and exit status are its own. If it does not exist, the command exits 127; if it cannot be executed, 126.',
  ],
  push: [
    'A text on the server that was not synced here is not overwritten: the command shows what differs and exits 1. --force overwrites it and keeps it in a dated backup beside the file.',
    'What was saved is read back and compared. The text must be UTF-8, of 1 MiB at most, and not empty.',
  ],
  history: ['The version that is synced here is marked with *.'],
  rollback: [
    'COMMIT is one that history lists, or at least its first 7 characters. On a terminal the command asks first; elsewhere it needs --yes. No local file is changed: bring the text here with "atlas sync".',
  ],
  sync: [
    'Text that you edited since the last sync is not overwritten: the command shows what differs and exits 1. So does a first sync over a file that is not the server’s text. --force overwrites it and keeps your text in a dated backup beside the file; the newest five are kept.',
    'If nothing differs, the file is not written, so a cron job or a login hook can run it often. A dry run exits 0 whatever it finds.',
    'With --max-age nothing is asked where the last sync is younger than that and the file is as it was left: no network, no keychain. It is meant for the start of every session of an assistant.',
  ],
  status: [
    'To see who is logged in, run "atlas auth status".',
    'The verdict is one of in_sync, remote_changed, local_changed, diverged, local_missing, remote_empty, remote_unreadable and unknown. What is known of the file is printed even if nobody is logged in (exit 4), the server cannot be asked or sent no text (5), the store cannot be used (6) or the file cannot be read (1).',
  ],
  doctor: [
    'The report contains no secret, and home folders and e-mail addresses are shortened, so it can be shared. If something is broken, the command exits 1.',
  ],
  completion: [
    'The script for PowerShell is experimental: nobody has run it in a PowerShell yet. Put this line into $PROFILE: atlas completion powershell | Out-String | Invoke-Expression',
  ],
}

export const PRECEDENCE =
  'A flag overrides a variable, and a variable the config file. An empty variable counts as unset.'

export const ENVIRONMENT: readonly (readonly [name: string, meaning: string])[] = [
  ...ALL_SETTINGS.map(setting => [setting.variable, variableHelp(setting)] as const),
  ['CLAUDE_CONFIG_DIR', 'The folder of CLAUDE.md (sync --dir; default: ~/.claude)'],
  ['NO_COLOR', 'Never use colours'],
  ['FORCE_COLOR', 'Always use colours (0: never)'],
  ['CLICOLOR', '0: never use colours'],
  ['CI', 'No spinner and no progress'],
  ['TERM', 'dumb: plain prompts without colours, spinner or progress, for screen readers too'],
  ['HTTPS_PROXY', 'The proxy for other machines that are reached by https'],
  ['HTTP_PROXY', 'The proxy for other machines that are reached by http'],
  ['ALL_PROXY', 'The proxy for both'],
  ['NO_PROXY', 'Machines that are reached without a proxy'],
  ['NODE_EXTRA_CA_CERTS', 'A file of certificate authorities to trust besides those of the system'],
]

const CODES = Object.keys(EXIT_CODE) as AtlasCode[]

const MEANINGS: Readonly<Record<number, string>> = {
  0: 'Done',
  1: 'Failed; api got a status of 300 or above',
  2: 'Wrong usage, or input is needed and prompts are not allowed',
  4: 'Log in (again)',
  5: 'Could not find out; trying again may work',
  6: 'The credential store is locked, missing, denied or does not answer',
}

/** A way in which atlas ends. */
export interface Ending {
  readonly statuses: readonly number[]
  readonly meaning: string
  readonly codes: readonly AtlasCode[]
}

/** Every way in which atlas ends, with its error codes. */
export const ENDINGS: readonly Ending[] = [
  ...Object.entries(MEANINGS).map(([status, meaning]) => ({
    statuses: [Number(status)],
    meaning,
    codes: CODES.filter(code => EXIT_CODE[code] === Number(status)),
  })),
  { statuses: [126], meaning: 'exec: the program cannot be executed', codes: ['file_error'] },
  { statuses: [127], meaning: 'exec: the program does not exist', codes: ['file_error'] },
  {
    statuses: [130, 143, 129, 131],
    meaning:
      'Interrupted by INT (or Ctrl-C at a prompt), TERM, HUP, QUIT; by another signal 128 + its number',
    codes: ['cancelled'],
  },
]

/** Each as help and the manual page show it. */
export const endingRows = (): [statuses: string, meaning: string][] =>
  ENDINGS.map(({ statuses, meaning, codes }) => [
    statuses.join(', '),
    [meaning, codes.join(', ')].filter(Boolean).join(': '),
  ])

/** What can be read with `atlas help` besides commands. */
export const TOPICS = ['environment', 'exit-codes'] as const
export type Topic = (typeof TOPICS)[number]

export const isTopic = (words: readonly string[]): words is readonly [Topic] =>
  words.length === 1 && TOPICS.some(topic => topic === words[0])
