import { type Bus, connectToBus, sessionBusSockets, toBus } from './bus.ts'
import { SERVICE } from './failures.ts'
import type { Value } from './wire.ts'
import type { Answers } from './worker.ts'

/** One operation on an item; an error has the addon's words. */
export type AskSecretService = <Operation extends keyof Answers>(
  operation: Operation,
  account: string,
  value: string,
) => Promise<Answers[Operation]>

export interface SecretServiceOptions {
  readonly env: NodeJS.ProcessEnv
  readonly uid: number | undefined
  /** Whether it may ask the person for a password. */
  readonly mayOpenDialogue: boolean
}

const NAME = 'org.freedesktop.secrets'
const ROOT = '/org/freedesktop/secrets'
const INTERFACE = 'org.freedesktop.Secret'
/** The types of what each method returns. An answer that is not so would pass for "there is no item". */
const REPLIES = {
  OpenSession: 'vo',
  SearchItems: 'aoao',
  GetSecret: '(oayay',
  SetSecret: '',
  ReadAlias: 'o',
  CreateItem: 'oo',
  Delete: 'o',
  Unlock: 'aoo',
  Prompt: '',
  Dismiss: '',
}
/** The path that means "no object". */
const NONE = '/'

/**
 * A Secret Service without time limits. The addon gives up each answer after two seconds, so a service that takes
 * longer cannot be used through it at all. Its items are the addon's own: same names, same
 * content. Secrets cross the bus as they are; any process that could watch it could ask for them as well.
 * @returns undefined where the bus is not one of this machine.
 * @see https://specifications.freedesktop.org/secret-service-spec/latest/
 */
export function openSecretService({
  env,
  uid,
  mayOpenDialogue,
}: SecretServiceOptions): AskSecretService | undefined {
  const socketPaths = sessionBusSockets(env)
  if (socketPaths.length === 0 || uid === undefined) return undefined
  const bus = connectToBus(socketPaths, uid)
  const call = callsOver(bus)
  const answer: AnswerPrompt = prompt =>
    mayOpenDialogue ? haveAsked(bus, call, String(prompt)) : refuseToAsk(call, String(prompt))
  const session = call(ROOT, 'Service', 'OpenSession', 'sv', ['plain', ['s', '']]).then(
    ([, path = '']) => path,
  )
  // It is waited for where it is needed, which may be never.
  session.catch(() => {})

  const find = async (account: string): Promise<string | undefined> => {
    const found = await call(ROOT, 'Service', 'SearchItems', 'a{ss}', [attributesOf(account)])
    const [unlocked = [], locked = []] = found as string[][]
    if (locked.length > 0) await unlock(call, answer, locked)
    const [item, ...others] = [...unlocked, ...locked]
    if (others.length > 0) throw new Error(`Entry is matched by ${others.length + 1} credentials`)
    return item
  }
  const read = async (item: string): Promise<Buffer> => {
    const [secret] = await call(item, 'Item', 'GetSecret', 'o', [await session])
    return (secret as [session: string, parameters: Buffer, content: Buffer])[2]
  }
  const sealed = async (content: Buffer): Promise<Value> => [
    await session,
    Buffer.alloc(0),
    content,
    'application/octet-stream',
  ]
  const replace = async (item: string, content: Buffer) =>
    void (await call(item, 'Item', 'SetSecret', '(oayays)', [await sealed(content)]))

  const operations: { [Name in keyof Answers]: (account: string, value: string) => Promise<Answers[Name]> } =
    {
      async get(account) {
        const item = await find(account)
        return item && textOf(await read(item))
      },
      async set(account, value) {
        const item = await find(account)
        if (item) await replace(item, Buffer.from(value))
        else await create(call, answer, account, await sealed(Buffer.from(value)))
      },
      async prove(account) {
        const item = await find(account)
        if (item) await replace(item, await read(item))
      },
      exists: async account => (await find(account)) !== undefined,
      async delete(account) {
        const item = await find(account)
        if (item === undefined) return false
        try {
          const [prompt] = await call(item, 'Item', 'Delete')
          await answer(prompt)
        } catch (error) {
          // What the addon asked for before it gave up may have been done meanwhile.
          if ((await find(account)) !== undefined) throw error
        }
        return true
      },
    }
  return (operation, account, value) => operations[operation](account, value)
}

type Call = (
  path: string,
  kind: string,
  member: keyof typeof REPLIES,
  signature?: string,
  body?: readonly Value[],
) => Promise<readonly Value[]>

const callsOver =
  (bus: Bus): Call =>
  (path, kind, member, signature = '', body = []) => {
    const method = { destination: NAME, path, interface: `${INTERFACE}.${kind}`, member }
    return bus.call({ ...method, signature, body, reply: REPLIES[member] })
  }

/** What to do where the service wants to ask the person something first, or has nothing to ask (`/`). */
type AnswerPrompt = (prompt: Value | undefined) => Promise<void>

const attributesOf = (account: string): Value => Object.entries({ service: SERVICE, username: account })

async function create(call: Call, answer: AnswerPrompt, account: string, secret: Value): Promise<void> {
  const [collection = NONE] = (await call(ROOT, 'Service', 'ReadAlias', 's', ['default'])) as string[]
  if (collection === NONE) throw new Error('Secret Service: no result found')
  await unlock(call, answer, [collection])
  const properties = [
    [`${INTERFACE}.Item.Label`, ['s', `keyring:${account}@${SERVICE}`]],
    [`${INTERFACE}.Item.Attributes`, ['a{ss}', attributesOf(account)]],
  ]
  const body = [properties, secret, 1]
  const [, prompt] = await call(collection, 'Collection', 'CreateItem', 'a{sv}(oayays)b', body)
  await answer(prompt)
}

async function unlock(call: Call, answer: AnswerPrompt, objects: readonly string[]): Promise<void> {
  const [, prompt] = await call(ROOT, 'Service', 'Unlock', 'ao', [objects])
  await answer(prompt)
}

/** Have the Secret Service ask the person, and wait for what they say. @throws where they decline. */
async function haveAsked(bus: Bus, call: Call, prompt: string): Promise<void> {
  if (prompt === NONE) return
  const completed = new Promise<boolean>(resolve =>
    bus.onSignal(({ path, member, body }) => {
      if (path === prompt && member === 'Completed') resolve(body[0] === 1)
    }),
  )
  await bus.call(toBus('AddMatch', '', 's', [`type='signal',path='${prompt}',member='Completed'`]))
  await call(prompt, 'Prompt', 'Prompt', 's', [''])
  if (await completed) throw new Error('Secret Service: unlock prompt was dismissed')
}

/** @throws where it would ask. */
async function refuseToAsk(call: Call, prompt: string): Promise<void> {
  if (prompt === NONE) return
  await call(prompt, 'Prompt', 'Dismiss')
  throw new Error('Secret Service: object locked, and it may not ask')
}

function textOf(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw new Error('not valid UTF-8')
  }
}
