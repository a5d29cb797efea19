import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import zlib from 'node:zlib'
import { httpAnswer } from './raw-server.ts'

/** What a server does with a connection instead of answering as it should. */
export type Answer = (socket: Socket) => void

/** A well-formed answer. */
export const answering =
  (status: string, body = '', headers: readonly string[] = []): Answer =>
  socket =>
    void socket.end(httpAnswer(status, headers, body))

/** The answer of an Atlas API that is asked without a token; anything else meets another answer. */
export const behindApi =
  (answer: Answer): ((socket: Socket, request: string) => void) =>
  (socket, request) => {
    const isLooking = /^GET \S*\/auth\/me /.test(request) && !/^authorization:/im.test(request)
    if (isLooking) answering('401 Unauthorized', '{"detail":"Not authenticated"}')(socket)
    else answer(socket)
  }

/** Bytes, and then the end of the connection. */
export const sending =
  (...pieces: readonly (string | Uint8Array)[]): Answer =>
  socket => {
    for (const piece of pieces) socket.write(piece)
    socket.end()
  }

/** Bytes, and then nothing: the connection stays open. */
export const stalling =
  (text: string): Answer =>
  socket =>
    void socket.write(text)

/** Bytes, and then a reset of the connection. */
export const resetting =
  (text: string): Answer =>
  socket =>
    void (text === '' ? socket.resetAndDestroy() : socket.write(text, () => socket.resetAndDestroy()))

const DRIP_MS = 50

/** One byte at a time, each soon enough to keep an idle timer from running out. */
export const dripping =
  (head: string, endless: string): Answer =>
  socket => {
    socket.write(head)
    const timer = setInterval(() => socket.write(endless), DRIP_MS)
    socket.on('close', () => clearInterval(timer))
  }

/** The same piece for ever, as fast as it is taken. */
export const flooding =
  (head: string, piece: string): Answer =>
  socket => {
    socket.write(head)
    const pump = (): void => {
      while (!socket.destroyed && socket.write(piece));
    }
    socket.on('drain', pump)
    pump()
  }

const BOMB_MIB = 200

const COMPRESSORS = {
  gzip: () => zlib.createGzip({ level: 1 }),
  deflate: () => zlib.createDeflate({ level: 1 }),
  br: () => zlib.createBrotliCompress({ params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 1 } }),
  zstd: () => zlib.createZstdCompress({ params: { [zlib.constants.ZSTD_c_compressionLevel]: 1 } }),
} as const

export type Encoding = keyof typeof COMPRESSORS

/** A small answer that unpacks to 200 MiB. */
export async function bomb(encoding: Encoding): Promise<Answer> {
  const mebibyte = Buffer.alloc(1024 * 1024)
  const source = Readable.from(
    (function* () {
      for (let index = 0; index < BOMB_MIB; index++) yield mebibyte
    })(),
  )
  const packed = Buffer.concat(await Array.fromAsync(source.pipe(COMPRESSORS[encoding]())))
  return sending(
    `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: ${encoding}\r\nContent-Length: ${packed.length}\r\n\r\n`,
    packed,
  )
}
