import fs from 'node:fs'
import { type JqResult, loadJq } from 'jq-wasm'
import wasm from 'jq-wasm/jq.wasm' with { type: 'file' }

export interface JqRequest {
  readonly input: string
  readonly expression: string
  readonly flags: readonly string[]
}

/** What jq said; `exitCode` is undefined where it gave up, as when its memory is full. */
export type JqReply = Omit<JqResult, 'exitCode'> & { readonly exitCode: number | undefined }

declare const self: Worker

// What the runtime of jq says when it gives up would go to standard error as it is.
console.error = () => {}
const jq = loadJq({ wasmBinary: fs.readFileSync(wasm as unknown as string) })

self.onmessage = async ({ data }: MessageEvent<JqRequest>) => {
  self.postMessage(await run(data))
}

async function run({ input, expression, flags }: JqRequest): Promise<JqReply> {
  const handle = await jq
  try {
    return handle.raw(input, expression, [...flags, '--'])
  } catch (error) {
    return { stdout: '', stderr: String(error), exitCode: undefined }
  }
}
