import type { Log, Slice, SliceOptions } from '@varve/log'
import type { ByteSource } from '@varve/protocol'

/** The most bytes that one slice covers, but for a batch that is larger: what is pinned together stays pinned until it is sent. */
const sliceBytes = 1024 * 1024

/** What to read: whole batches from the one that holds `from`, ending below `upTo`. */
export interface RecordsWanted {
  readonly from: number
  readonly upTo: number
  readonly maxBytes: number
  /** Return the first batch even if it alone is larger than `maxBytes`, so that a consumer can always go on. */
  readonly minOneBatch: boolean
}

/** The records of one partition in a Fetch response: pinned slices of the log whose bytes nobody has read yet. */
export class FetchedRecords implements ByteSource {
  readonly slices: readonly Slice[]
  readonly byteLength: number
  /** To be called with what keeps them from being read or sent, or anything beside them in a response. */
  readonly failed: (error: unknown) => void

  constructor(slices: readonly Slice[], failed: (error: unknown) => void = () => {}) {
    this.slices = slices
    this.failed = failed
    let bytes = 0
    for (const slice of slices) bytes += slice.byteLength
    this.byteLength = bytes
  }

  /** Gives the pinned ranges back. Slices that the response's writer has closed already are closed twice, which is fine. */
  close(): void {
    for (const slice of this.slices) slice.close()
  }
}

export const noRecords: FetchedRecords = new FetchedRecords([])

/**
 * Takes slices until `maxBytes` or `upTo` is reached; a promise only where the log must touch a cold file for it.
 *
 * @param failed is told what keeps the slices from being read or sent afterwards
 * @param visibility `'written'` for a follower, which has what is not durable yet, too
 */
export function readRecords(
  log: Pick<Log, 'slice'>,
  wanted: RecordsWanted,
  failed: (error: unknown) => void,
  visibility: SliceOptions['visibility'] = 'durable',
): FetchedRecords | Promise<FetchedRecords> {
  if (wanted.from >= wanted.upTo || (wanted.maxBytes <= 0 && !wanted.minOneBatch)) return noRecords
  const taken = takeSlices(log, wanted, visibility, [], wanted.from, Math.max(0, wanted.maxBytes))
  return taken instanceof Promise
    ? taken.then((slices) => new FetchedRecords(slices, failed))
    : new FetchedRecords(taken, failed)
}

function takeSlices(
  log: Pick<Log, 'slice'>,
  wanted: RecordsWanted,
  visibility: SliceOptions['visibility'],
  slices: Slice[],
  from: number,
  remaining: number,
): Slice[] | Promise<Slice[]> {
  try {
    while (from < wanted.upTo && (remaining > 0 || slices.length === 0)) {
      const next = log.slice({
        from,
        upTo: wanted.upTo,
        maxBytes: Math.min(remaining, sliceBytes),
        minOneBatch: true,
        ...(visibility === 'written' && { visibility }),
      })
      if (next instanceof Promise) {
        const left = remaining
        return next.then(
          (slice) =>
            accept(slice, wanted, slices, left)
              ? takeSlices(log, wanted, visibility, slices, slice.nextOffset, left - slice.byteLength)
              : slices,
          (error: unknown) => giveUp(slices, error),
        )
      }
      if (!accept(next, wanted, slices, remaining)) break
      from = next.nextOffset
      remaining -= next.byteLength
    }
    return slices
  } catch (error) {
    return giveUp(slices, error)
  }
}

function accept(slice: Slice, wanted: RecordsWanted, slices: Slice[], remaining: number): boolean {
  const fits = slice.byteLength <= remaining || (slices.length === 0 && wanted.minOneBatch)
  if (slice.byteLength > 0 && fits) {
    slices.push(slice)
    return true
  }
  slice.close()
  return false
}

/** What was read before a bad range is worth having; the consumer meets the error when it asks for what follows. */
function giveUp(slices: Slice[], error: unknown): Slice[] {
  if (slices.length > 0) return slices
  throw error
}
