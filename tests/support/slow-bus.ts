import fs from 'node:fs'
import net, { type Socket } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { listening } from './listening.ts'

/** A way to a message bus on which messages take their time. */
export interface SlowBus extends AsyncDisposable {
  /** What a process needs in its environment to take it. */
  readonly env: Record<string, string>
  /** The calls that have come, by the name of the method. */
  readonly calls: readonly string[]
  /** Hold each call of these methods back before the bus gets it. */
  delayCalls(methods: readonly string[], ms: number): void
  /** Hold every message of the bus back before the caller gets it. */
  delayReplies(ms: number): void
}

const METHOD_CALL = 1
const MEMBER = /\x03\x01s\0.{4}([A-Za-z]+)\0/s

/** @param busEnv where the real bus is. */
export async function startSlowBus(busEnv: Record<string, string>): Promise<SlowBus> {
  const realPath = /path=([^,;]+)/.exec(busEnv['DBUS_SESSION_BUS_ADDRESS'] ?? '')?.[1] ?? ''
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'atlas-slow-bus-'))
  const file = path.join(folder, 'bus')
  const calls: string[] = []
  const callDelays = new Map<string, number>()
  let replyDelayMs = 0

  const server = net.createServer(client => {
    const bus = net.connect(realPath)
    const ended = (): void => {
      client.destroy()
      bus.destroy()
    }
    for (const socket of [client, bus]) socket.on('error', ended).on('close', ended)
    const toBus = inOrder(bus)
    const toClient = inOrder(client)
    // Lines, until the client begins with messages.
    const handshake = { isOver: false }
    forward(client, handshake, message => {
      const member = message[1] === METHOD_CALL ? MEMBER.exec(message.toString('latin1'))?.[1] : undefined
      if (member !== undefined) calls.push(member)
      toBus(message, callDelays.get(member ?? '') ?? 0)
    })
    forward(bus, handshake, message => toClient(message, replyDelayMs))
  })
  const front = await listening(server, file)
  return {
    env: { ...busEnv, DBUS_SESSION_BUS_ADDRESS: `unix:path=${file}` },
    calls,
    delayCalls(methods, ms) {
      for (const method of methods) callDelays.set(method, ms)
    },
    delayReplies(ms) {
      replyDelayMs = ms
    },
    async [Symbol.asyncDispose]() {
      await front[Symbol.asyncDispose]()
      fs.rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Write to a socket, each piece after its delay and after those before it. */
function inOrder(socket: Socket) {
  let last = Promise.resolve()
  return (bytes: Buffer, delayMs: number): void => {
    const due = delayMs > 0 ? Bun.sleep(delayMs) : undefined
    last = Promise.all([last, due]).then(() => void (socket.destroyed || socket.write(bytes)))
  }
}

const BEGIN = 'BEGIN\r\n'

/** Pass on what a socket brings: its part of the handshake, then message by message. */
function forward(from: Socket, handshake: { isOver: boolean }, pass: (piece: Buffer) => void): void {
  let received: Buffer = Buffer.alloc(0)
  const pieceLength = (): number => {
    if (!handshake.isOver) {
      handshake.isOver = received.includes(BEGIN)
      return handshake.isOver ? received.indexOf(BEGIN) + BEGIN.length : received.length
    }
    if (received.length < 16) return 0
    const fields = received.readUInt32LE(12)
    const length = 16 + fields + (-fields & 7) + received.readUInt32LE(4)
    return received.length < length ? 0 : length
  }
  from.on('data', (bytes: Buffer) => {
    received = Buffer.concat([received, bytes])
    for (let length = pieceLength(); length > 0; length = pieceLength()) {
      pass(received.subarray(0, length))
      received = received.subarray(length)
    }
  })
}
