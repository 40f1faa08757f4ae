/**
 * The first Ctrl-C (or SIGTERM) asks a command to come to an orderly end through the signal it returns; the second one
 * ends the process at once, for when the orderly end takes too long.
 */
export function onInterrupt(): { signal: AbortSignal; exitCode: () => number } {
  const controller = new AbortController()
  let code = 0
  for (const [name, exitCode] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(exitCode)
      code = exitCode
      controller.abort()
    })
  }
  return { signal: controller.signal, exitCode: () => code }
}
