import { nearest } from '../../cli/suggest.ts'
import { AtlasError } from '../../errors.ts'
import { sendableMethods, USUAL_METHODS } from '../../http/methods.ts'

/**
 * A method as it is sent, in upper case.
 * @throws {AtlasError} `usage`: atlas cannot send it, with the nearest that it can.
 */
export async function parseMethod(text: string): Promise<string> {
  const method = text.toUpperCase()
  if (USUAL_METHODS.includes(method)) return method
  const methods = await sendableMethods()
  if (methods.includes(method)) return method
  const meant = await nearest(method, methods)
  throw new AtlasError(
    'usage',
    `--method is "${text.slice(0, 80)}", which is not an HTTP method that atlas sends.`,
    meant ? `Did you mean ${meant}?` : 'Give one such as GET, POST or DELETE.',
  )
}
