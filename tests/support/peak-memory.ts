/*
 * Run a command and print how it ended and its peak memory. A process begins with the peak of the one
 * that starts it, so a test, which may have held much, cannot measure its own child.
 */
const child = Bun.spawn(process.argv.slice(2), { stdin: 'ignore', stdout: 'ignore', stderr: 'inherit' })
const status = await child.exited
process.stdout.write(JSON.stringify({ status, maxRss: child.resourceUsage()?.maxRSS }))

export {}
