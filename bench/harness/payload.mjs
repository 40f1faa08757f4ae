/** Values that no codec makes smaller, the same in every process, and the checksum of any run of them. */
import { createCipheriv } from 'node:crypto'
import { crc32 } from 'node:zlib'

const MOST_BYTES = 16 << 20
const MOST_VALUES = 61

export class Payload {
  #values

  /** @param {number} valueBytes the length of each value */
  constructor(valueBytes) {
    // Not a power of two, so that values that went astray by a page or a group do not match.
    const count = Math.max(3, Math.min(MOST_VALUES, Math.floor(MOST_BYTES / valueBytes)))
    const stream = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'varve'), Buffer.alloc(16))
    this.#values = Array.from({ length: count }, () => stream.update(Buffer.alloc(valueBytes)))
  }

  value(index) {
    return this.#values[index % this.#values.length]
  }

  /** The values from `index` on, for those who take several at once. */
  values(index, count) {
    return Array.from({ length: count }, (_, i) => this.value(index + i))
  }

  /** What {@link Checksum} makes of the first `count` values. */
  checksum(count) {
    const checksum = new Checksum()
    for (let index = 0; index < count; index++) checksum.add(this.value(index))
    return checksum
  }
}

/** Counts values and checks them, their order included. */
export class Checksum {
  count = 0
  crc = 0

  add(value) {
    this.count++
    this.crc = crc32(value, this.crc)
  }

  /** @throws Error when this, which was read back, is not what was written */
  assertEquals(written, what) {
    if (this.count === written.count && this.crc === written.crc) return
    throw new Error(
      `${what}: ${this.count} values with checksum ${this.crc} were read back, ` +
        `${written.count} with ${written.crc} were written`,
    )
  }
}
