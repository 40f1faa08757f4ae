import { nativeAddon } from './native-addon.js'

type Crc32c = (bytes: Uint8Array, seed?: number) => number

// Crossing into native code costs more than the tables do for a buffer this small.
const NATIVE_FROM_BYTES = 192

let tables: Uint32Array | undefined

// Slicing-by-8: table k gives the effect of a byte that is followed by k more.
function buildTables(): Uint32Array {
  const built = new Uint32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
    built[byte] = crc >>> 0
  }
  for (let index = 256; index < built.length; index++) {
    const previous = built[index - 256]!
    built[index] = (built[previous & 0xff]! ^ (previous >>> 8)) >>> 0
  }
  return built
}

/** CRC-32C in plain TypeScript; what {@link crc32c} uses where the native addon is not there. */
export function crc32cPortable(bytes: Uint8Array, seed = 0): number {
  const table = (tables ??= buildTables())
  const length = bytes.length
  let crc = ~seed
  let at = 0
  for (const end = length - 7; at < end; at += 8) {
    const low = crc ^ (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24))
    crc =
      table[1792 + (low & 0xff)]! ^
      table[1536 + ((low >>> 8) & 0xff)]! ^
      table[1280 + ((low >>> 16) & 0xff)]! ^
      table[1024 + (low >>> 24)]! ^
      table[768 + bytes[at + 4]!]! ^
      table[512 + bytes[at + 5]!]! ^
      table[256 + bytes[at + 6]!]! ^
      table[bytes[at + 7]!]!
  }
  for (; at < length; at++) crc = table[(crc ^ bytes[at]!) & 0xff]! ^ (crc >>> 8)
  return ~crc >>> 0
}

/** The native function, or null: it must reproduce the published check value before it is trusted. */
export function loadNativeCrc32c(): Crc32c | null {
  try {
    const native = nativeAddon()?.crc32c
    return native?.(Buffer.from('123456789')) === 0xe3069283 ? native : null
  } catch {
    return null
  }
}

let native: Crc32c | null | undefined

/**
 * CRC-32C (Castagnoli) of `bytes`, as an unsigned 32-bit number. `seed` is the CRC of what came before them,
 * so `crc32c(b, crc32c(a))` is the CRC of `a` followed by `b`.
 *
 * @example
 * ```ts
 * import { crc32c, crc32cPortable } from '@varve/records'
 *
 * console.log(crc32c(Buffer.from('123456789')).toString(16)) // e3069283
 * console.log(crc32cPortable(Buffer.from('789'), crc32c(Buffer.from('123456'))).toString(16)) // e3069283
 * ```
 */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  if (bytes.length < NATIVE_FROM_BYTES) return crc32cPortable(bytes, seed)
  if (native === undefined) native = loadNativeCrc32c()
  return native === null ? crc32cPortable(bytes, seed) : native(bytes, seed)
}
