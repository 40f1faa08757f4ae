/** What has less is given room to grow: chunks differ by a batch. */
const LARGE_BYTES = 1 << 20

/** Memory that a reading uses again: in turn one part for what is given out, and one for what is fetched meanwhile. */
export class ReadMemory {
  #given: Buffer | null = null
  #fetched: Buffer | null = null

  /** Room for the next bytes, in the part that holds what was given out last but one. */
  next(bytes: number): Buffer {
    const free = this.#given
    this.#given = this.#fetched
    this.#fetched = free !== null && free.length >= bytes ? free : Buffer.allocUnsafeSlow(roomFor(bytes))
    return this.#fetched.subarray(0, bytes)
  }

  /** Somebody may still write to it. */
  leave(): void {
    this.#given = null
    this.#fetched = null
  }
}

const roomFor = (bytes: number): number =>
  bytes > LARGE_BYTES ? bytes : 2 ** Math.ceil(Math.log2(Math.max(bytes, 1)))
