// Zig-zag variable-length integers as record bodies use them: small magnitudes of either sign take few bytes.

/** Bytes that `value`, an int32, takes as a zig-zag varint: 1 to 5. */
export function sizeOfVarint(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0
  if (zigzag < 0x80) return 1
  if (zigzag < 0x4000) return 2
  if (zigzag < 0x200000) return 3
  return zigzag < 0x10000000 ? 4 : 5
}

/** Writes `value`, an int32, and returns the position after it. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  let zigzag = ((value << 1) ^ (value >> 31)) >>> 0
  while (zigzag >= 0x80) {
    target[at++] = (zigzag & 0x7f) | 0x80
    zigzag >>>= 7
  }
  target[at++] = zigzag
  return at
}

/** Bytes that `value`, a safe integer, takes as a zig-zag varlong: 1 to 8. */
export function sizeOfVarlong(value: number): number {
  if ((value | 0) === value) return sizeOfVarint(value)
  let zigzag = zigzagOf(value)
  let size = 1
  while (zigzag >= 0x80n) {
    zigzag >>= 7n
    size++
  }
  return size
}

/** Writes `value`, a safe integer, and returns the position after it. */
export function writeVarlong(target: Uint8Array, at: number, value: number): number {
  if ((value | 0) === value) return writeVarint(target, at, value)
  let zigzag = zigzagOf(value)
  while (zigzag >= 0x80n) {
    target[at++] = Number(zigzag & 0x7fn) | 0x80
    zigzag >>= 7n
  }
  target[at++] = Number(zigzag)
  return at
}

// Doubling a safe integer can leave the safe range, so everything beyond int32 takes this slow and rare path.
function zigzagOf(value: number): bigint {
  const wide = BigInt(value)
  return wide >= 0n ? wide << 1n : (-wide << 1n) - 1n
}
