import { VarveError } from '@varve/records'
import type { Cancellation } from '../cancellation.js'

/** How long something is waited for that a test expects. */
export interface WaitOptions {
  /** In ms of the machine's clock, whatever the broker's says. Default 5000. */
  timeoutMs?: number
  /** Ends the waiting with the signal's reason. */
  signal?: AbortSignal
}

const defaultTimeoutMs = 5_000

export interface Wait<T> {
  /** Looks once; null when it is not there yet. Never called while it still looks. */
  readonly look: () => T | null | Promise<T | null>
  /** Calls `changed` whenever there may be something new to see, until the returned function is called. */
  readonly listen: (changed: () => void) => () => void
  /** What is waited for, and what is there instead, in words that follow "after … ms". */
  readonly describe: () => string
  readonly closing: Cancellation
}

/**
 * Looks again at each change, and at nothing else, until what is waited for is there.
 *
 * @throws VarveError `VARVE_WAIT_TIMEOUT`, `VARVE_BROKER_CLOSED`, or the signal's reason
 */
export async function waitFor<T>(
  { look, listen, describe, closing }: Wait<T>,
  { timeoutMs = defaultTimeoutMs, signal }: WaitOptions,
): Promise<T> {
  signal?.throwIfAborted()
  let changed = false
  let wake = (): void => {}
  let end: (() => unknown) | null = null
  const ring = (): void => {
    changed = true
    wake()
  }
  const endWith = (reason: () => unknown): void => {
    end ??= reason
    ring()
  }
  const onAbort = (): void => endWith(() => signal!.reason)
  const timer = setTimeout(
    () => endWith(() => new VarveError('VARVE_WAIT_TIMEOUT', `after ${timeoutMs} ms ${describe()}`)),
    timeoutMs,
  )
  const stops = [
    listen(ring),
    closing.onCancel(() =>
      endWith(() => new VarveError('VARVE_BROKER_CLOSED', `the broker was closed while ${describe()}`)),
    ),
  ]
  signal?.addEventListener('abort', onAbort)
  try {
    for (;;) {
      changed = false
      const found = await look()
      if (found !== null) return found
      // TypeScript does not see that a callback sets it.
      const ended = end as (() => unknown) | null
      if (ended !== null) throw ended()
      if (changed) continue
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
    for (const stop of stops) stop()
  }
}
