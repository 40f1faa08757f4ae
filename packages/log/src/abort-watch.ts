import type { PendingAppend } from './pending-append.js'

interface Watched {
  readonly appends: Set<PendingAppend>
  stop(): void
}

/**
 * Which appends are taken back when which signal is aborted. Many share one, and each with a listener of its own would make
 * Node warn of a leak.
 */
export class AbortWatch {
  readonly #takeBack: (append: PendingAppend, reason: unknown) => void
  readonly #watched = new Map<AbortSignal, Watched>()

  constructor(takeBack: (append: PendingAppend, reason: unknown) => void) {
    this.#takeBack = takeBack
  }

  add(append: PendingAppend, signal: AbortSignal): void {
    append.signal = signal
    const watched = this.#watched.get(signal) ?? this.#watch(signal)
    watched.appends.add(append)
  }

  /** The append cannot be taken back any more. */
  delete(append: PendingAppend): void {
    const { signal } = append
    if (signal === null) return
    append.signal = null
    const watched = this.#watched.get(signal)!
    watched.appends.delete(append)
    if (watched.appends.size > 0) return
    watched.stop()
    this.#watched.delete(signal)
  }

  #watch(signal: AbortSignal): Watched {
    const appends = new Set<PendingAppend>()
    const abort = (): void => {
      for (const append of Array.from(appends)) {
        this.delete(append)
        this.#takeBack(append, signal.reason)
      }
    }
    signal.addEventListener('abort', abort)
    const watched = { appends, stop: () => signal.removeEventListener('abort', abort) }
    this.#watched.set(signal, watched)
    return watched
  }
}
