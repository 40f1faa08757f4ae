import { openChangedLogs, type NativeChangedLogs } from '@varve/native'

/** The open logs of this thread, by the numbers that the engine calls them by. */
const listeners = new Map<number, () => void>()
let lastNumber = 0
let changedLogs: NativeChangedLogs | undefined

/** What a log is opened with, so that its changes are told here: one for all logs of the thread, and a number of its own. */
export function numberLog(): { readonly changedLogs: NativeChangedLogs; readonly number: number } {
  changedLogs ??= openChangedLogs(tell)
  // Beyond what the engine counts to it begins anew, and passes over those that are still open.
  do lastNumber = (lastNumber + 1) >>> 0
  while (listeners.has(lastNumber))
  return { changedLogs, number: lastNumber }
}

/** Calls `changed` whenever the log has changed, once for all changes since the last call, until {@link forgetLog}. */
export function listenToLog(number: number, changed: () => void): void {
  listeners.set(number, changed)
}

/** From here on the log's changes are told to nobody. */
export function forgetLog(number: number): void {
  listeners.delete(number)
}

function tell(numbers: number[]): void {
  for (const number of numbers) {
    try {
      listeners.get(number)?.()
    } catch (error) {
      // One log's mistake is its own: the others have changed all the same.
      queueMicrotask(() => {
        throw error
      })
    }
  }
}
