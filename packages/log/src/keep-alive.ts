let timer: NodeJS.Timeout | undefined
let holders = 0

/**
 * Keeps the event loop alive while something is waited for that only the engine's threads know of: their way back to
 * JavaScript does not hold the process by itself.
 */
export function hold(): void {
  if (holders++ > 0) return
  timer ??= setInterval(() => {}, 0x7fff_ffff)
  timer.ref()
}

export function release(): void {
  if (--holders === 0) timer?.unref()
}
