/* A server on the loopback interface whose every answer is that many bytes: bun bulk-server.ts BYTES */
const body = new Uint8Array(Number(process.argv[2])).fill(97)
const { url } = Bun.serve({ port: 0, hostname: '127.0.0.1', fetch: () => new Response(body) })
process.stdout.write(`${url.origin}\n`)
