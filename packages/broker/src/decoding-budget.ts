import type { ByteBudget } from '@varve/protocol'
import type { ReceivedRequest } from './received-request.js'

/** Requests up to this size are decoded as they come: what they become is small beside the connection itself. */
const littleBytes = 16 * 1024

/** What a byte of a request without records costs on the heap until it is answered, at 16 bytes for each partition. */
const heapBytesPerByte = 32

/** Whether a request without records needs no permission to be decoded. */
export function decodesToLittle(frame: Buffer): boolean {
  return frame.length <= littleBytes
}

/**
 * Calls `begin` when the budget can pay for what the request decodes to: at once, or in a turn of the event loop of its
 * own. The request gives the bytes back when it is done, or says that it needs them no longer.
 *
 * @returns ends the waiting, and the request with it; of no effect when it has begun
 */
export function whenDecodable(request: ReceivedRequest, budget: ByteBudget, begin: () => void): () => void {
  const bytes = request.frame.length * heapBytesPerByte
  let over = false
  const leaveQueue = budget.wait(bytes, (overdrawn) => {
    request.paid(() => {
      budget.release(bytes)
      if (overdrawn) budget.settle()
    })
    // Not inside of the release that granted it: a row of such requests would be worked off in one turn, and one stack.
    setImmediate(() => {
      if (over) return
      over = true
      begin()
    })
  })
  return () => {
    if (over) return
    over = true
    leaveQueue()
    request.done()
  }
}
