import { describe, expect, test } from 'bun:test'
import { renderLine, styled, wantsColour } from '../../lib/terminal/style.ts'

describe('a line', () => {
  const LINE = ['Status ', styled('green', 'ok'), ' by ', styled('bold', 'Ada')]
  test('has colours where they are shown', () => {
    expect(renderLine(LINE, true)).toBe('Status \u001b[32mok\u001b[39m by \u001b[1mAda\u001b[22m')
  })
  test('says the same without them', () => {
    expect(renderLine(LINE, false)).toBe('Status ok by Ada')
    expect(renderLine('plain', true)).toBe('plain')
  })
  test('lets no foreign text act on the terminal, in colours neither', () => {
    const hostile = '\u001b[2J\n\u202e'
    expect(renderLine([hostile, styled('red', hostile)], false)).toBe(
      '\\u001b[2J\\u000a\\u202e\\u001b[2J\\u000a\\u202e',
    )
    expect(renderLine([styled('red', hostile)], true)).toBe('\u001b[31m\\u001b[2J\\u000a\\u202e\u001b[39m')
  })
  test('is prepared before it is made harmless', () => {
    const hide = (text: string): string => text.replaceAll('a\tb', '[hidden]')
    expect(renderLine(['a\tb ', styled('red', 'a\tb')], false, hide)).toBe('[hidden] [hidden]')
  })
})

// https://no-color.org and https://force-color.org
test.each([
  [{}, true, true],
  [{}, false, false],
  [{ TERM: 'dumb' }, true, false],
  [{ NO_COLOR: '1' }, true, false],
  [{ CLICOLOR: '0' }, true, false],
  [{ CLICOLOR: '1' }, false, false],
  [{ CLICOLOR: '0', FORCE_COLOR: '1' }, false, true],
  [{ NO_COLOR: '' }, true, true],
  [{ FORCE_COLOR: '1' }, false, true],
  [{ FORCE_COLOR: '' }, false, false],
  [{ FORCE_COLOR: '0' }, true, false],
  [{ FORCE_COLOR: 'false' }, true, false],
  [{ FORCE_COLOR: '1', NO_COLOR: '1' }, false, true],
  [{ FORCE_COLOR: '1', TERM: 'dumb' }, true, true],
])('with %j and a terminal (%p) colours are shown: %p', (env, isTerminal, shown) => {
  expect(wantsColour(env, isTerminal)).toBe(shown)
})
