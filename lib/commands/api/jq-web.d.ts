declare module 'jq-web' {
  const jq: Promise<{
    /**
     * Run jq on a text. @returns standard output without its last line break; undefined where it is empty.
     * @throws an Error with `exitCode` and `stderr`
     */
    raw(input: string, expression: string, flags: readonly string[]): string | undefined
  }>
  export default jq
}
