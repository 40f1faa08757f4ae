const SEED = 0x9747b28c
const M = 0x5bd1e995

/**
 * The hash that Kafka's clients take of a record's key: MurmurHash2, 32 bits, with Kafka's seed. Signed.
 *
 * @example
 * ```ts
 * import { keyPartition, murmur2, toPositive } from '@varve/partitioning'
 *
 * const key = Buffer.from('user-1')
 * console.log(toPositive(murmur2(key)) % 12 === keyPartition(key, 12)) // true
 * ```
 */
export function murmur2(bytes: Uint8Array): number {
  const length = bytes.length
  const whole = length & ~3
  let hash = SEED ^ length
  for (let at = 0; at < whole; at += 4) {
    let word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    word = Math.imul(word, M)
    word ^= word >>> 24
    hash = Math.imul(hash, M) ^ Math.imul(word, M)
  }
  const rest = length - whole
  if (rest > 0) {
    if (rest === 3) hash ^= bytes[whole + 2]! << 16
    if (rest >= 2) hash ^= bytes[whole + 1]! << 8
    hash = Math.imul(hash ^ bytes[whole]!, M)
  }
  hash = Math.imul(hash ^ (hash >>> 13), M)
  return hash ^ (hash >>> 15)
}

/** Clears the sign bit, which is not the absolute value; Kafka's way from a hash to something to divide. */
export function toPositive(hash: number): number {
  return hash & 0x7fff_ffff
}
