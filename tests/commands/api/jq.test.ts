import { describe, expect, test } from 'bun:test'
import { answer } from '../../support/atlas-server.ts'
import { readUntil } from '../../support/binary.ts'
import { openTerminal } from '../../support/pseudo-terminal.ts'
import { stage } from '../../support/stage.ts'

const BODY =
  '{"name":"Ada","list":[{"id":12345678901234567890},{"id":2}],"text":"a\\u001b[2J\\nb","empty":"","none":null}'

async function serving(body = BODY, type = 'application/json') {
  const atlas = await stage({ loggedIn: true })
  atlas.server.fault('GET /it', response => {
    response.writeHead(200, { 'content-type': type })
    response.end(body)
  })
  return atlas
}

describe('atlas api --jq', () => {
  const PRINTED: [expression: string, printed: string][] = [
    ['.name', 'Ada\n'],
    ['.list', '[{"id":12345678901234567890},{"id":2}]\n'],
    ['.list[].id', '12345678901234567890\n2\n'],
    ['.name, .none', 'Ada\nnull\n'],
    ['.empty', '\n'],
    ['empty', ''],
    ['.list[] | select(.id > 2) | .id', '12345678901234567890\n'],
    ['.text', 'a\u001b[2J\nb\n'],
    ['-1', '-1\n'],
    ['" \\n"', ' \n\n'],
    ['" a"', ' a\n'],
    ['"x\\u0000y"', 'x\0y\n'],
    ['"\\(.name) " | trim, ltrimstr("A"), @base32d? // 0', 'Ada\nda \n0\n'],
    ['[have_decnum, (.name | test("^a"; "i"))]', '[true,true]\n'],
    ['$ENV | has("HOME")', 'true\n'],
    ['[.list[] | pick(.id)] | map(.id) | add | type', 'number\n'],
    ['"\\(.name) \\(1 + 1)" | @base64', 'QWRhIDI=\n'],
  ]
  test.each(PRINTED)('jq: %s', async (expression, printed) => {
    await using atlas = await serving()
    expect(await atlas.run(['api', '/it', '--jq', expression])).toEqual({
      status: 0,
      stdout: printed,
      stderr: '',
    })
  })

  test('jq: nothing of atlas’s own environment or files is there', async () => {
    await using atlas = await serving()
    const { stdout } = await atlas.run(['api', '/it', '-q', '$ENV | keys | map(select(startswith("ATLAS")))'])
    expect(stdout).toBe('[]\n')
    expect((await atlas.run(['api', '/it', '-q', 'import "/etc/passwd" as $x; $x'])).status).toBe(2)
  })

  test('jq: on a terminal values are indented, and harmless', async () => {
    await using atlas = await serving()
    const terminal = openTerminal(atlas, ['api', '/it', '-q', '.list[1], .text'])
    expect(await terminal.ended()).toBe(0)
    expect(terminal.transcript.replaceAll('\r', '')).toContain('{\n  "id": 2\n}\na\\u001b[2J\nb\n')
  })

  test.each([
    ['.a[', 'syntax error, unexpected end of file'],
    ['nothing', 'nothing/0 is not defined at <top-level>, line 1'],
    ['', 'it is empty'],
  ])('jq: %j is checked before anything is asked', async (expression, said) => {
    await using atlas = await serving()
    const { status, stderr } = await atlas.run(['api', '/it', '--jq', expression])
    expect([status, stderr, atlas.server.log()]).toEqual([
      2,
      expect.stringContaining(`--jq is not an expression of jq: ${said}`),
      [],
    ])
  })

  const FAILURES: [what: string, body: string, expression: string, status: number, code: string][] = [
    ['an expression that does not fit', BODY, '.name.first', 1, 'api_error'],
    ['an expression that gives up', BODY, 'error("no")', 1, 'api_error'],
    ['an expression that ends as one that cannot be compiled', BODY, '.name | halt_error(3)', 1, 'api_error'],
    ['an answer that is no JSON', '<html>', '.', 5, 'bad_response'],
    ['an answer that is cut off', '{"a":', '.', 5, 'bad_response'],
  ]
  test.each(FAILURES)('jq: %s', async (_, body, expression, status, code) => {
    await using atlas = await serving(body)
    const outcome = await atlas.run(['api', '/it', '--jq', expression, '--json'])
    expect([outcome.status, outcome.stdout, JSON.parse(outcome.stderr).error.code]).toEqual([
      status,
      '',
      code,
    ])
  })

  test('jq: an answer that is an error is shown as it came', async () => {
    await using atlas = await stage({ loggedIn: true })
    atlas.server.fault('GET /it', response => answer(response, 404, { detail: 'no such thing' }))
    const { status, stdout } = await atlas.run(['api', '/it', '--jq', '.name'])
    expect([status, stdout]).toEqual([1, '{"detail":"no such thing"}'])
  })

  test('jq: an answer without a body has no output', async () => {
    await using atlas = await stage({ loggedIn: true })
    atlas.server.fault('GET /it', response => void response.writeHead(204).end())
    expect(await atlas.run(['api', '/it', '--jq', '.'])).toEqual({ status: 0, stdout: '', stderr: '' })
  })

  test('jq: goes through all pages', async () => {
    await using atlas = await stage({ loggedIn: true })
    atlas.server.fault('GET /list', (response, { path }) => {
      const page = Number(new URL(path, 'http://h').searchParams.get('page') ?? 1)
      answer(response, 200, { items: [{ page }], page, pages: 3 })
    })
    const { stdout } = await atlas.run(['api', '/list', '--paginate', '--jq', 'length, map(.page)'])
    expect(stdout).toBe('3\n[1,2,3]\n')
  })

  test('jq: beside --silent is a usage error', async () => {
    await using atlas = await stage({ loggedIn: true })
    expect((await atlas.run(['api', '/it', '--silent', '--jq', '.'])).status).toBe(2)
  })

  test('jq: what it prints before an error is printed', async () => {
    await using atlas = await serving()
    const { status, stdout, stderr } = await atlas.run(['api', '/it', '-q', '.name, error("no")'])
    expect([status, stdout, stderr]).toEqual([
      1,
      'Ada\n',
      'atlas: The answer came, but --jq failed on it: no.\n       See the answer without --jq.\n',
    ])
  })

  test('jq: an expression that takes all memory is an error in words of atlas alone', async () => {
    await using atlas = await serving()
    const { status, stdout, stderr } = await atlas.run(['api', '/it', '--json', '-q', 'def f: 1 + f; f'])
    expect({ status, stdout, ...JSON.parse(stderr).error }).toEqual({
      status: 1,
      stdout: '',
      code: 'api_error',
      message: 'The answer came, but --jq failed on it: it gave up, as where 256 MiB of memory are too few.',
      hint: 'See the answer without --jq.',
    })
  })

  test('jq: an answer of 32 MB goes through it', async () => {
    await using atlas = await serving(JSON.stringify(Array(320_000).fill('x'.repeat(97))))
    expect((await atlas.run(['api', '/it', '-q', 'length'])).stdout).toBe('320000\n')
  })

  test('jq: Ctrl-C ends an expression that never does', async () => {
    await using atlas = await stage({ loggedIn: true })
    const child = atlas.start(['api', '/auth/me', '--debug', '--jq', 'def f: f; f'], { input: '' })
    await readUntil(child.stderr, /auth\/me/)
    child.kill('SIGINT')
    expect(await child.exited).toBe(130)
  })
})
