import jq from 'jq-web'

export interface JqRequest {
  readonly input: string
  readonly expression: string
  readonly flags: readonly string[]
}

/** `output` is undefined where there is none, which is not the same as an empty one. */
export type JqReply =
  | { readonly ok: true; readonly output: string | undefined }
  | { readonly ok: false; readonly exitCode: number; readonly said: string }

declare const self: Worker

// What `debug` and `stderr` of an expression say would go to standard error as it is.
console.warn = () => {}

self.onmessage = async ({ data }: MessageEvent<JqRequest>) => {
  self.postMessage(await run(data))
}

async function run({ input, expression, flags }: JqRequest): Promise<JqReply> {
  const { raw } = await jq
  try {
    return { ok: true, output: raw(input, expression, [...flags, '--']) }
  } catch (error) {
    const { exitCode = 0, stderr = String(error) } = error as { exitCode?: number; stderr?: string }
    return { ok: false, exitCode, said: stderr }
  }
}
