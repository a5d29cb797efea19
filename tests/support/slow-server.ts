import { readUntil } from './binary.ts'

/** Takes each body at so many bytes a second; where the path ends with `/stall`, only half of it. */
const PROGRAM = `
import socket, sys, threading, time
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
listener.bind(('127.0.0.1', 0))
listener.listen()
print('port', listener.getsockname()[1], flush=True)
def serve(connection):
    received = b''
    while b'\\r\\n\\r\\n' not in received:
        received += connection.recv(4096)
    head, body = received.split(b'\\r\\n\\r\\n', 1)
    length = next(int(line.split(b':')[1]) for line in head.split(b'\\r\\n') if line.lower().startswith(b'content-length'))
    left = length - len(body)
    print('receiving', flush=True)
    while left > 0:
        if head.split()[1].endswith(b'/stall') and left < length / 2:
            time.sleep(600)
        piece = connection.recv(min(65536, left))
        if not piece:
            return
        left -= len(piece)
        time.sleep(len(piece) / float(sys.argv[1]))
    connection.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok')
    connection.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
`

export interface SlowServer extends AsyncDisposable {
  readonly url: string
  /** Resolves when the head of a request has come. */
  readonly receiving: Promise<unknown>
}

/** A server in Python, which leaves unread in the kernel what it does not take. */
export async function startSlowServer(bytesPerSecond: number): Promise<SlowServer> {
  const server = Bun.spawn(['python3', '-c', PROGRAM, String(bytesPerSecond)], { stdout: 'pipe' })
  const [said, later] = server.stdout.tee()
  const receiving = readUntil(later, /receiving/)
  receiving.catch(() => {})
  const [, port] = /port (\d+)/.exec(await readUntil(said, /port \d+\n/)) ?? []
  return {
    url: `http://127.0.0.1:${port}`,
    receiving,
    async [Symbol.asyncDispose]() {
      server.kill('SIGKILL')
      await server.exited
    },
  }
}
