import type { Socket } from 'node:net'
import type { EngineLog } from './engine-log.js'
import { send, type SendOptions } from './send.js'
import type { LogSlice, SliceOptions } from './slice.js'

/** What to send of a log, and how long that may take. */
export interface SendToOptions extends SliceOptions, SendOptions {}

/** What was sent. */
export interface SentRange {
  /** How many bytes; 0 when there is nothing at or behind `from` that may be read. */
  bytes: number
  /** The offset to go on from. */
  nextOffset: number
}

/** See `Log.sendTo`. A slice ends with its segment, so this may take several. */
export async function sendTo(log: EngineLog, socket: Socket, options: SendToOptions): Promise<SentRange> {
  const {
    from,
    upTo = Infinity,
    maxBytes = 1 << 20,
    minOneBatch = true,
    visibility,
    ...sendOptions
  } = options
  let nextOffset = from
  let bytes = 0
  do {
    const rest = {
      from: nextOffset,
      upTo,
      maxBytes: maxBytes - bytes,
      minOneBatch: minOneBatch && bytes === 0,
      visibility,
    }
    let slice: LogSlice
    try {
      slice = await log.slice(rest)
    } catch (error) {
      if (bytes === 0) throw error
      // What came before is sent. Whoever goes on from here is told.
      break
    }
    if (slice.byteLength === 0) {
      slice.close()
      break
    }
    await send(socket, [slice], sendOptions)
    bytes += slice.byteLength
    ;({ nextOffset } = slice)
  } while (bytes < maxBytes && nextOffset < upTo)
  return { bytes, nextOffset }
}
