import { sanitizeBlock, sanitizeLine } from './safe-text.ts'
import { renderLine, type Style, styled } from './style.ts'

/** A longer body is shown as it comes, in characters. */
const MAX_INDENTED_LENGTH = 2 * 1024 * 1024
const STEP = '  '
/** Deeper levels are indented no further, so that a body of nothing but brackets stays printable. */
const MAX_INDENT = 40
/** A string, a bracket or separator, or a number or literal. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[[\]{},:]|[^\s"[\]{},:]+/g

/**
 * JSON indented, coloured and harmless for a terminal; undefined where the text is not JSON. Values are checked but
 * not read, so numbers, escapes, the order of keys and keys that occur twice stay as the server wrote them.
 */
export function indentJson(text: string, colour: boolean): string | undefined {
  try {
    JSON.parse(text)
  } catch {
    return undefined
  }
  let out = ''
  let depth = 0
  let before = ''
  const tokens = text.match(TOKEN) ?? []
  for (const [index, token] of tokens.entries()) {
    const closes = token === '}' || token === ']'
    const isFirst = before === '{' || before === '['
    if (closes) depth--
    if (closes ? !isFirst : isFirst || before === ',') out += `\n${STEP.repeat(Math.min(depth, MAX_INDENT))}`
    const style = colour ? styleOf(token, tokens[index + 1]) : undefined
    out += style ? renderLine([styled(style, token)], true) : sanitizeLine(token)
    if (token === ':') out += ' '
    if (token === '{' || token === '[') depth++
    before = token
  }
  // A string that is too much for the pattern would be missing.
  return depth === 0 ? out : undefined
}

function styleOf(token: string, next: string | undefined): Style | undefined {
  if (/^[[\]{},:]/.test(token)) return undefined
  if (token.startsWith('"')) return next === ':' ? 'cyan' : 'green'
  return /^[-\d]/.test(token) ? 'yellow' : 'magenta'
}

/**
 * A body made readable and harmless for a terminal, piece by piece: JSON indented once it is complete, all else, JSON
 * of more than 2 MiB too, as it comes. Called without bytes, it gives what it has held back.
 */
export function bodyForTerminal(isJson: boolean, colour: boolean): (bytes?: Uint8Array) => string {
  const decoder = new TextDecoder()
  let mayIndent = isJson
  let held = ''
  return bytes => {
    const text = held + (bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode())
    mayIndent &&= text.length <= MAX_INDENTED_LENGTH
    // A line ending may be torn apart between two pieces.
    const shown = !bytes ? text : mayIndent ? '' : text.replace(/\r$/, '')
    held = text.slice(shown.length)
    return (!bytes && mayIndent && indentJson(text, colour)) || sanitizeBlock(shown)
  }
}
