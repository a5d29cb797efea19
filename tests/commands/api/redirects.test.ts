import { expect, test } from 'bun:test'
import { follow, redirectError } from '../../../lib/commands/api/redirects.ts'

const API_ROOT = 'https://atlas.example.com/api/v1'

/** How `atlas api -X POST /x?q=1` ends that a server redirects. */
async function posted(location: string, isSafeToShow: boolean) {
  const asked = new URL(`${API_ROOT}/x?q=1`)
  const redirecting = async () => new Response(null, { status: 307, headers: { location } })
  const { url, response, unfollowed } = await follow('POST', asked, API_ROOT, redirecting)
  if (unfollowed === undefined) throw new Error('it was followed')
  const { status, headers } = response
  const answer = { request: 'POST /x', url, status, statusText: 'Reason', headers, receivedAt: new Date() }
  const place = { apiRoot: API_ROOT, typedQuery: '?q=1' }
  const { message, hint } = redirectError(answer, unfollowed, place, { isSafeToShow: () => isSafeToShow })
  return { message, hint }
}

test('a redirect that is not followed is named without its query, with the command that goes there', async () => {
  expect(await posted('/api/v1/y/?q=1', true)).toEqual({
    message:
      'POST /x answered 307 Reason: a redirect to /api/v1/y/, which atlas follows for GET and HEAD only.',
    hint: "Run the command with that path: atlas api '/y/?q=1' …",
  })
  expect(await posted('https://evil.example/x?token=a', true)).toEqual({
    message:
      'POST /x answered 307 Reason: a redirect to https://evil.example/x, which leads out of the API; atlas does not follow it.',
    hint: undefined,
  })
})

test('a redirect that repeats a secret is named without it', async () => {
  expect(await posted('/api/v1/y', false)).toEqual({
    message:
      'POST /x answered 307 [hidden]: a redirect to [hidden], which atlas follows for GET and HEAD only.',
    hint: undefined,
  })
})
