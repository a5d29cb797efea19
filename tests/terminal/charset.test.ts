import { describe, expect, test } from 'bun:test'
import { charsetOf, encode } from '../../lib/terminal/charset.ts'
import { openTerminal } from '../support/pseudo-terminal.ts'
import { stage } from '../support/stage.ts'

test.each([
  [{}, 'utf8'],
  [{ LANG: 'en_GB.UTF-8' }, 'utf8'],
  [{ LANG: 'de_DE.utf8' }, 'utf8'],
  [{ LANG: 'C' }, 'ascii'],
  [{ LANG: 'en_GB.UTF-8', LC_ALL: 'POSIX' }, 'ascii'],
  [{ LANG: 'C', LC_CTYPE: 'C.UTF-8' }, 'utf8'],
  [{ LANG: 'de_DE.ISO-8859-1', LC_ALL: '' }, 'latin1'],
  [{ LANG: 'de_DE.ISO8859-15' }, 'latin1'],
  [{ LANG: 'de_DE@euro' }, 'latin1'],
  [{ LANG: 'ru_RU.KOI8-R' }, 'ascii'],
] as const)('the character set of %j is %s', (env, charset) => {
  expect(charsetOf(env)).toBe(charset)
})

test.each([
  ['utf8', 'It’s “é” … → 語', Buffer.from('It’s “é” … → 語')],
  ['latin1', 'It’s “é” … → 語', Buffer.from('It\'s "\xe9" ... -> ?', 'latin1')],
  ['ascii', 'It’s “é” … → 語', Buffer.from('It\'s "é" ... -> 語')],
] as const)('a text in %s', (charset, text, bytes) => {
  expect(Buffer.from(encode(text, charset) as string)).toEqual(bytes)
})

describe('a terminal in Latin-1', () => {
  test('login: an e-mail and a password are what was typed there', async () => {
    const user = { id: '1', email: 'jörg@example.com', password: 'grün', username: 'joerg', role: 'user' }
    await using atlas = await stage({ users: [user], withApiPath: true })
    const terminal = openTerminal(atlas, ['auth', 'login'], { LANG: 'de_DE.ISO-8859-1' })
    await terminal.see('E-mail')
    terminal.type(Buffer.from('jörg@example.com\n', 'latin1'))
    await terminal.see('Password')
    terminal.type(Buffer.from('grün\n', 'latin1'))
    expect(await terminal.ended()).toBe(0)
    expect(atlas.server.log().at(-1)).toBe('POST /api/v1/auth/login')
  })
})
