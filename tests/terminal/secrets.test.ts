import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { sanitizeLine } from '../../lib/terminal/safe-text.ts'
import { createSecrets } from '../../lib/terminal/secrets.ts'
import { forRun, testWithTools } from '../support/needs.ts'

const knowing = (...values: (string | null | undefined)[]) => {
  const secrets = createSecrets()
  secrets.add(...values)
  return secrets
}

describe('a secret is masked', () => {
  const PASSWORD = 'p&ss "wörd" <1>\\'
  const ECHOES: [how: string, text: string][] = [
    ['as it is', `for ${PASSWORD} no`],
    ['in JSON', `for ${JSON.stringify(PASSWORD).slice(1, -1)} no`],
    ['in a URL', `for ${encodeURIComponent(PASSWORD)} no`],
    ['in a form', `for ${new URLSearchParams({ '': PASSWORD }).toString().slice(1)} no`],
    ['in HTML', `for ${PASSWORD.replace('&', '&amp;').replace('<', '&lt;').replace('>', '&gt;')} no`],
    ['again and again', `for ${PASSWORD} no`],
  ]
  test.each(ECHOES)('%s', (_, text) => {
    expect(knowing(PASSWORD).mask(text)).toBe('for [hidden] no')
    expect(knowing(PASSWORD).isSafeToShow(text)).toBe(false)
  })

  test('with control characters, also after they were escaped', () => {
    const password = 'correct\u001bhorse'
    expect(knowing(password).mask(sanitizeLine(JSON.stringify(password)))).toBe('"[hidden]"')
  })

  test('as a whole where it contains another one', () => {
    expect(knowing('token-1', 'token-1.long').mask('token-1.long token-1')).toBe('[hidden] [hidden]')
  })

  test('unless it is as short as a word; then foreign text that holds it is not safe to show', () => {
    const secrets = knowing('the')
    expect(secrets.mask('the server')).toBe('the server')
    expect(secrets.isSafeToShow('the server')).toBe(false)
    expect(secrets.isSafeToShow('a server')).toBe(true)
  })

  test('and an empty one is ignored', () => {
    const secrets = knowing('', null, undefined)
    expect(secrets.mask('text')).toBe('text')
    expect(secrets.isSafeToShow('')).toBe(true)
  })
})

describe('isSafeToShow: a long piece of a secret', () => {
  const TOKEN = 'header.0123456789abcdef.signature'
  const TEXTS: [what: string, text: string, isFound: boolean][] = [
    ['all but its last character', `/x/${TOKEN.slice(0, -1)}`, true],
    ['all but its first character', `/x/${TOKEN.slice(1)}`, true],
    ['its middle, in escapes', `/x/${TOKEN.slice(8, 20).replaceAll('a', '%61')}`, true],
    ['12 characters', TOKEN.slice(3, 15), true],
    ['but not 11 characters', TOKEN.slice(3, 14), false],
  ]
  test.each(TEXTS)('is found: %s', (_, text, isFound) => {
    expect(knowing(TOKEN).isSafeToShow(text)).toBe(!isFound)
  })

  test('is searched for in limited time, whatever the server sends', () => {
    const startedAt = performance.now()
    const secrets = knowing('t'.repeat(65_536), `${'t'.repeat(65_535)}u`)
    expect(secrets.isSafeToShow('x'.repeat(10_000_000))).toBe(true)
    expect(performance.now() - startedAt).toBeLessThan(5_000)
  })
})

test('mask: no known secret is left in any text', () => {
  const secret = fc.string({
    unit: fc.constantFrom('x', 'y', '&', '"', 'ä', '\\'),
    minLength: 6,
    maxLength: 10,
  })
  fc.assert(
    fc.property(
      fc.array(secret, { minLength: 1, maxLength: 4 }),
      fc.array(fc.nat({ max: 3 })),
      (all, order) => {
        const text = order.map(index => all[index % all.length]).join(' ')
        const masked = knowing(...all).mask(text)
        expect(all.filter(one => masked.includes(one))).toEqual([])
      },
    ),
    { numRuns: forRun({ short: 200, full: 1_000 }) },
  )
})

test('mask: accepts any text as a secret', () =>
  fc.assert(
    fc.property(
      fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map(code => String.fromCharCode(code)) }),
      value => {
        knowing(value).mask(value)
      },
    ),
  ))

const PYTHON = `
import ast, base64, html, json, sys, urllib.parse, xml.sax.saxutils as sax
p = json.load(sys.stdin)
u = urllib.parse
forms = {
  "html.escape": html.escape(p),
  "html.escape twice": html.escape(html.escape(p)),
  "numeric": "".join("&#%d;" % ord(c) for c in p),
  "numeric without ends": "".join("&#x%X " % ord(c) for c in p).replace(" ", ";"),
  "json": json.dumps(p),
  "json of unicode": json.dumps(p, ensure_ascii=False),
  "json in json": json.dumps(json.dumps(p)),
  "quote": u.quote(p, safe=""),
  "quote in small letters": u.quote(p, safe="").lower(),
  "quote_plus": u.quote_plus(p),
  "urlencode": u.urlencode({"password": p}),
  "quote in html": html.escape(u.quote(p)),
  "html in quote": u.quote(html.escape(p)),
  "repr": repr(p),
  "ascii": ascii(p),
  "repr of bytes": repr(p.encode()),
  "unicode_escape": p.encode("unicode_escape").decode(),
  "xmlcharrefreplace": p.encode("ascii", "xmlcharrefreplace").decode(),
  "backslashreplace": p.encode("ascii", "backslashreplace").decode(),
  "sax.escape": sax.escape(p),
  "sax.quoteattr": sax.quoteattr(p),
  "upper": p.upper(),
  "dict": str({"input": p}),
  "repr in json": json.dumps(str({"input": p})),
  "decomposed": __import__("unicodedata").normalize("NFD", p),
}
json.dump(forms, sys.stdout)
`
const PASSWORDS = ['p&ss "wörd" <1>\\', "it's ünsafe/+ %41", 'Ä\u{1f511}b\'"c&amp;', 'äöü', 'tab\there']

describe('isSafeToShow: what encoders of Python make of a password', () => {
  testWithTools('python3').each(PASSWORDS)('is found: %j', password => {
    const { stdout } = Bun.spawnSync(['python3', '-c', PYTHON], {
      stdin: Buffer.from(JSON.stringify(password)),
    })
    const forms: Record<string, string> = JSON.parse(stdout.toString())
    const shown = Object.entries(forms).filter(([, text]) =>
      knowing(password).isSafeToShow(`Value error: ${text} is not valid`),
    )
    expect(shown).toEqual([])
  })

  test.each([
    ["input_value={'username': 'ada', 'password': 'corr...2026-01-01'}, input_type=dict", false],
    ["input_value='xx...tery', input_type=str", false],
    ['Wait… and try again', true],
    ['No such user ... try again', true],
  ])('a cut beside a part of the password: %s', (text, isSafe) => {
    expect(knowing('correct horse battery').isSafeToShow(text)).toBe(isSafe)
  })
})
