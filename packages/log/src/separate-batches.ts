import { types } from 'node:util'
import { VarveError } from '@varve/records'

const LENGTH_AT = 8
const LENGTH_OVERHEAD = 12

/**
 * The batches that lie one behind the other in a buffer, as views of it. Only their lengths are looked at.
 *
 * @throws VarveError `VARVE_BATCH_INVALID` for what is no buffer, `VARVE_BATCH_CORRUPT` where the buffer ends within a batch
 */
export function separateBatches(buffer: Uint8Array): Uint8Array[] {
  if (!types.isUint8Array(buffer)) {
    throw new VarveError('VARVE_BATCH_INVALID', `record batches must be a Uint8Array, got ${typeof buffer}`)
  }
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  const batches: Uint8Array[] = []
  for (let at = 0; at < buffer.length || batches.length === 0;) {
    const known = buffer.length - at >= LENGTH_OVERHEAD
    const length = known ? LENGTH_OVERHEAD + view.getInt32(at + LENGTH_AT) : 0
    if (length <= LENGTH_OVERHEAD || length > buffer.length - at) {
      throw new VarveError(
        'VARVE_BATCH_CORRUPT',
        `the ${buffer.length} bytes hold no whole record batch at position ${at}; nothing of them is appended`,
      )
    }
    batches.push(buffer.subarray(at, at + length))
    at += length
  }
  return batches
}
