import fs from 'node:fs'
import net from 'node:net'
import { marshal, typesIn, unmarshal, type Value } from './wire.ts'

/** What is called, and with what. */
export interface MethodCall {
  readonly destination: string
  readonly path: string
  readonly interface: string
  readonly member: string
  /** The D-Bus types of `body`, one after the other. */
  readonly signature?: string
  readonly body?: readonly Value[]
  /** The types that the reply begins with. */
  readonly reply: string
}

export interface Signal {
  readonly path: string
  readonly member: string
  readonly body: readonly Value[]
}

/** A connection with a message bus. It has no time limits: whoever uses it has them. */
export interface Bus {
  /** @returns the values of the reply. @throws the words of the error that came instead; the reply has other types. */
  call(call: MethodCall): Promise<readonly Value[]>
  /** Call a function for each signal that comes. */
  onSignal(listener: (signal: Signal) => void): void
}

const METHOD_CALL = 1
const METHOD_RETURN = 2
const ERROR = 3
const SIGNAL = 4
/** The names of header fields. */
const PATH = 1
const INTERFACE = 2
const MEMBER = 3
const ERROR_NAME = 4
const REPLY_SERIAL = 5
const DESTINATION = 6
const SIGNATURE = 8
/** The header up to its fields: byte order, type, flags, version, length of the body, serial, length of the fields. */
const FIXED_BYTES = 16
const LITTLE_ENDIAN = 0x6c
const MAX_GREETING = 1024
const IS_LOCKED = 'org.freedesktop.Secret.Error.IsLocked'

/**
 * The sockets of this machine at which the user's session bus may be, found as libdbus finds them: the first that
 * answers is the bus.
 */
export function sessionBusSockets(env: NodeJS.ProcessEnv): string[] {
  const folder = env['XDG_RUNTIME_DIR']
  const address = env['DBUS_SESSION_BUS_ADDRESS'] || (folder && `unix:path=${folder}/bus`) || ''
  const found = address.matchAll(/(?<=^|;)unix:(?:[^;]*,)?(path|abstract)=([^,;]+)/g)
  return [...found].map(([, kind, name = '']) =>
    kind === 'abstract' ? `\0${unescaped(name)}` : unescaped(name),
  )
}

/** Each escape stands for a byte, not for a character. */
function unescaped(name: string): string {
  const bytes = Buffer.from(name).toString('latin1')
  const plain = bytes.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
  return Buffer.from(plain, 'latin1').toString()
}

/** The numeric id of the user whose session bus that is; undefined where its socket is not a file of this machine. */
export function sessionBusOwner(env: NodeJS.ProcessEnv): number | undefined {
  return sessionBusSockets(env)
    .map(socketPath => fs.statSync(socketPath, { throwIfNoEntry: false })?.uid)
    .find(owner => owner !== undefined)
}

/**
 * Connect with a bus. Calls may be made at once.
 * @param socketPaths at least one; the first that can be connected with is taken.
 * @see https://dbus.freedesktop.org/doc/dbus-specification.html
 */
export function connectToBus(socketPaths: readonly string[], uid: number): Bus {
  const waiting = new Map<number, PromiseWithResolvers<readonly Value[]> & { types: string }>()
  const listeners: ((signal: Signal) => void)[] = []
  let socket: net.Socket | undefined
  let failure: Error | undefined
  let serial = 0
  let isOpen = false
  /** What is to be sent once the bus knows who this is. */
  const unsent: Uint8Array[] = []

  const fail = (reason: string): void => {
    failure ??= new Error(`DBus error: ${reason}`)
    for (const { reject } of waiting.values()) reject(failure)
    waiting.clear()
    socket?.destroy()
  }
  const receive = (message: Message): void => {
    const call = waiting.get(message.replyTo)
    if (message.type === SIGNAL) for (const listener of listeners) listener(message)
    if (call === undefined || (message.type !== METHOD_RETURN && message.type !== ERROR)) return
    waiting.delete(message.replyTo)
    if (message.type === ERROR) call.reject(new Error(wordsOf(message)))
    else if (message.types.startsWith(call.types)) call.resolve(message.body)
    else call.reject(new Error(`DBus error: an answer of the types "${message.types}", not "${call.types}"`))
  }

  const readMessages = createMessageReader(receive)
  let greeting = ''
  const read = (bytes: Buffer): void => {
    if (isOpen) {
      readMessages(bytes)
      return
    }
    greeting += bytes.toString('latin1')
    // One line, after which the bus waits for this side.
    if (!greeting.includes('\n') && greeting.length < MAX_GREETING) return
    if (!/^OK .*\r\n$/.test(greeting)) throw new Error('access denied by the bus')
    isOpen = true
    for (const message of ['BEGIN\r\n', ...unsent]) socket?.write(message)
  }
  connectToFirst(socketPaths, {
    connected(connected) {
      socket = connected
      socket.write(`\0AUTH EXTERNAL ${Buffer.from(String(uid)).toString('hex')}\r\n`)
    },
    read(bytes) {
      try {
        read(bytes)
      } catch (error) {
        fail((error as Error).message)
      }
    },
    failed: fail,
  })

  const call = (request: MethodCall): Promise<readonly Value[]> => {
    if (failure) return Promise.reject(failure)
    serial++
    const message = formatMessage(request, serial)
    const reply = Promise.withResolvers<readonly Value[]>()
    waiting.set(serial, { ...reply, types: request.reply })
    if (isOpen) socket?.write(message)
    else unsent.push(message)
    return reply.promise
  }
  call(toBus('Hello', 's')).catch(() => {})
  return { call, onSignal: listener => void listeners.push(listener) }
}

interface SocketListeners {
  connected(socket: net.Socket): void
  read(bytes: Buffer): void
  failed(reason: string): void
}

function connectToFirst([socketPath = '', ...others]: readonly string[], listeners: SocketListeners): void {
  const socket = net.connect({ path: socketPath })
  let isConnected = false
  socket.on('connect', () => {
    isConnected = true
    listeners.connected(socket)
  })
  socket.on('error', ({ message }) => {
    if (isConnected || others.length === 0) listeners.failed(message)
    else connectToFirst(others, listeners)
  })
  socket.on('close', () => {
    if (isConnected) listeners.failed('the connection with the bus was lost')
  })
  socket.on('data', (bytes: Buffer) => listeners.read(bytes))
}

/** A call to the bus itself. */
export const toBus = (
  member: string,
  reply: string,
  signature = '',
  body: readonly Value[] = [],
): MethodCall => ({
  destination: 'org.freedesktop.DBus',
  path: '/org/freedesktop/DBus',
  interface: 'org.freedesktop.DBus',
  member,
  signature,
  body,
  reply,
})

interface Message extends Signal {
  readonly type: number
  readonly replyTo: number
  readonly error: string
  /** The signature of the body. */
  readonly types: string
}

const wordsOf = ({ error, body: [words] }: Message): string =>
  error === IS_LOCKED ? 'object locked' : `DBus error: ${typeof words === 'string' && words ? words : error}`

function formatMessage(call: MethodCall, serial: number): Buffer {
  const { path, destination, member, signature = '', body = [] } = call
  const fields: Value[] = [
    [PATH, ['o', path]],
    [INTERFACE, ['s', call.interface]],
    [MEMBER, ['s', member]],
    [DESTINATION, ['s', destination]],
    [SIGNATURE, ['g', signature]],
  ]
  const content = marshal(signature, body)
  const fixed: Value[] = [LITTLE_ENDIAN, METHOD_CALL, 0, 1, content.length, serial]
  const header = marshal('yyyyuua(yv)', [...fixed, fields])
  return Buffer.concat([header, Buffer.alloc(-header.length & 7), content])
}

/** @returns what takes the bytes that come, and hands over each message when it is whole. */
function createMessageReader(receive: (message: Message) => void): (bytes: Buffer) => void {
  let received: Buffer = Buffer.alloc(0)
  return bytes => {
    received = Buffer.concat([received, bytes])
    for (let length = messageLength(received); received.length >= length; length = messageLength(received)) {
      receive(parseMessage(received.subarray(0, length)))
      received = received.subarray(length)
    }
  }
}

/** The length of the message that the bytes begin with, as far as it is known. */
function messageLength(bytes: Buffer): number {
  if (bytes.length < FIXED_BYTES) return FIXED_BYTES
  if (bytes[0] !== LITTLE_ENDIAN) throw new Error('a message in another byte order')
  const fieldBytes = bytes.readUInt32LE(12)
  return FIXED_BYTES + fieldBytes + (-fieldBytes & 7) + bytes.readUInt32LE(4)
}

function parseMessage(bytes: Buffer): Message {
  const bodyAt = bytes.length - bytes.readUInt32LE(4)
  const [, type, , , , , fieldList] = unmarshal(['y', 'y', 'y', 'y', 'u', 'u', 'a(yv)'], bytes)
  const fields = new Map((fieldList as [number, [string, Value]][]).map(([name, [, value]]) => [name, value]))
  const types = String(fields.get(SIGNATURE) ?? '')
  return {
    type: type as number,
    path: String(fields.get(PATH) ?? ''),
    member: String(fields.get(MEMBER) ?? ''),
    error: String(fields.get(ERROR_NAME) ?? ''),
    replyTo: Number(fields.get(REPLY_SERIAL) ?? 0),
    types,
    body: unmarshal(typesIn(types), bytes.subarray(bodyAt)),
  }
}
