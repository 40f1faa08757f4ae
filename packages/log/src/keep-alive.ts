import { isMainThread } from 'node:worker_threads'

let timer: NodeJS.Timeout | undefined
let holders = 0

/**
 * Keeps the event loop alive while a flush or a roll is waited for, of which only the engine's threads know: their way
 * back to JavaScript must not hold the process by itself, or an open log would.
 */
export function hold(): void {
  if (holders++ > 0) return
  timer ??= setInterval(() => {}, 0x7fff_ffff)
  timer.ref()
}

export function release(): void {
  if (--holders === 0) timer?.unref()
}

/**
 * Keeps a worker alive while it waits for more, which other threads append. The main thread needs no keeping: those other
 * threads do that. Returns how to let go.
 */
export function holdWorker(): () => void {
  if (isMainThread) return () => {}
  hold()
  return release
}
