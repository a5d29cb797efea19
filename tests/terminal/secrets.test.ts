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
    expect(secrets.isSafeToShow('x'.repeat(200_000))).toBe(true)
    // More than anybody is ever shown is not looked through.
    expect(secrets.isSafeToShow('x'.repeat(10_000_000))).toBe(false)
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

const PYTHON = String.raw`
import html, json, sys, unicodedata, urllib.parse as u, xml.sax.saxutils as sax
password = json.load(sys.stdin)
encoders = {
  "html.escape": html.escape,
  "html.escape without quotes": lambda p: html.escape(p, quote=False),
  "decimal": lambda p: "".join("&#%d;" % ord(c) for c in p),
  "hex": lambda p: "".join("&#X%04X;" % ord(c) for c in p),
  "xmlcharrefreplace": lambda p: p.encode("ascii", "xmlcharrefreplace").decode(),
  "without semicolons": lambda p: html.escape(p).replace(";", "") if ";" not in p else p,
  "sax.escape": sax.escape,
  "sax.quoteattr": sax.quoteattr,
  "json.dumps": json.dumps,
  "json.dumps of Unicode": lambda p: json.dumps(p, ensure_ascii=False),
  "json with slashes": lambda p: json.dumps(p).replace("/", "\\/"),
  "quote": lambda p: u.quote(p, safe=""),
  "quote in small letters": lambda p: "".join(c.lower() if "%" in u.quote(p)[max(0, i - 2):i + 1] else c for i, c in enumerate(u.quote(p))),
  "quote_plus": u.quote_plus,
  "quote of all": lambda p: "".join("%%%02x" % b for b in p.encode()),
  "urlencode": lambda p: u.urlencode({"password": p}),
  "urlencode of Latin-1": lambda p: u.urlencode({"password": p}, encoding="latin-1", errors="xmlcharrefreplace"),
  "repr": repr,
  "ascii": ascii,
  "repr of bytes": lambda p: repr(p.encode()),
  "repr of a dict": lambda p: repr({"username": "ada", "password": p}),
  "unicode_escape": lambda p: p.encode("unicode_escape").decode(),
  "backslashreplace": lambda p: p.encode("ascii", "backslashreplace").decode(),
  "UTF-8 read as Latin-1": lambda p: p.encode().decode("latin-1"),
  "upper": str.upper,
  "lower": str.lower,
  "swapcase": str.swapcase,
  "casefold": str.casefold,
  "strip": str.strip,
  **{form: lambda p, form=form: unicodedata.normalize(form, p) for form in ("NFC", "NFD", "NFKC", "NFKD")},
}
echoes = {name: encode(password) for name, encode in encoders.items()}
for outer, encode in encoders.items():
  echoes |= {f"{outer} of {inner}": encode(encoded(password)) for inner, encoded in encoders.items()}
# Without the bytes themselves there is nothing to read.
lossy = [f"{change} of UTF-8 read as Latin-1" for change in ("NFKC", "NFKD", "upper", "lower", "swapcase", "casefold")]
for name in lossy:
  del echoes[name]
json.dump(echoes, sys.stdout)
`
const PASSWORDS = [
  'p&ss "wörd" <1>\\',
  "it's ünsafe/+ %41",
  'Ä\u{1f511}b\'"c&amp;',
  'äöü',
  'a"b',
  "'",
  'wäbcdefg012',
  'tab\there',
  ' spaces  around ',
  'Straße-Ω-漢字',
  '\\u0041%20+&lt;',
]

describe('isSafeToShow: a password is found in what any two encoders of Python make of it', () => {
  testWithTools('python3').each(PASSWORDS)('%j', password => {
    const { stdout, stderr } = Bun.spawnSync(['python3', '-c', PYTHON], {
      stdin: Buffer.from(JSON.stringify(password)),
    })
    expect(stderr.toString()).toBe('')
    const echoes: Record<string, string> = JSON.parse(stdout.toString())
    const secrets = knowing(password)
    const shown = Object.entries(echoes).filter(([, text]) =>
      secrets.isSafeToShow(`Value error: ${text} is not valid`),
    )
    expect(shown).toEqual([])
  })
})

describe('isSafeToShow: a password is found', () => {
  const PASSWORD = 'correct hörse "battery"'
  const ECHOES: [how: string, text: string][] = [
    ['with HTML names of letters and signs', 'for correct h&ouml;rse &quot;battery&QUOT no'],
    ['with a name that is not known', 'for correct h&#0000246;rse &ldquor;battery&rdquor; no'],
    ['with escapes of JavaScript', 'for correct h\\u{f6}rse \\x22battery%u0022 no'],
    ['with octal escapes of bytes', 'for correct h\\303\\266rse \\042battery\\042 no'],
    ['with what is not ASCII replaced', 'for correct h?rse "battery" no'],
    ['with what is not ASCII left out', 'for correct hrse "battery" no'],
    ['in lines of its own', 'for correct\n  hörse\n  "battery" no'],
    ['with a character in it that is not seen', 'for correct hö\u200brse "battery" no'],
    ['cut in the middle, as pydantic does it', "input_value={'password': 'corr...2026-01-01'}"],
    ['cut at its beginning', 'the password …tery" is known'],
    ['cut by stars', 'the password corr*** is known'],
    ['cut where the text ends', 'Not accepted: correct hörs'],
    ['but for its last third', 'the password [correct hörse "] is known'],
  ]
  test.each(ECHOES)('%s', (_, text) => {
    expect(knowing(PASSWORD).isSafeToShow(text)).toBe(false)
  })

  const OTHERS = [
    'Incorrect email or password',
    'Wait… and try again',
    'No such user ... try again',
    '422 Unprocessable Entity &amp; more %20 \\n',
    'password: String should have at least 12 characters',
  ]
  test.each(OTHERS)('and not in: %s', text => {
    expect(knowing(PASSWORD).isSafeToShow(text)).toBe(true)
  })

  test('or the text is not shown, where its encodings are endless', () => {
    const endless = `%${'25'.repeat(100)}&${'amp;'.repeat(100)}${'\\'.repeat(256)}`
    expect(knowing('another').isSafeToShow(endless)).toBe(false)
  })
})

test('mask: hides a text that holds a secret in any other encoding', () => {
  expect(knowing('correct hörse').mask('for correct h&#246;rse no')).toBe('[hidden]')
  expect(knowing('correct hörse').mask('for Correct hörse no')).toBe('for Correct hörse no')
})
