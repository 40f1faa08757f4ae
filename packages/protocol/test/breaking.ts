import fc from 'fast-check'
import { type Piece, varintOf } from './pieces.js'

/** Pieces as they go out. */
export const joined = (pieces: readonly Piece[]) => Buffer.concat(pieces.map(({ bytes }) => bytes))
/** Numbers in big-endian bytes. */
export const integers = (size: number, values: readonly bigint[]) =>
  values.map((value) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64BE(value)
    return bytes.subarray(8 - size)
  })

/** What may stand in a piece's place. */
function liesFor({ kind, bytes }: Piece): Buffer[] {
  const varints = [0, 1, 2, 0x7f, 0x80, 0x3fff, 0x8001, 0x7fffffff, 0x80000000, 0xffffffff].map(varintOf)
  if (kind === 'varint') {
    // A short number in many bytes, one that does not end, one of more than 32 bits.
    const odd = ['8000', '8080808000', 'ffffffffff', 'ffffffff1f', 'ffffffffffffffffff01']
    return [...varints, ...odd.map((hex) => Buffer.from(hex, 'hex'))]
  }
  if (kind === 'content') {
    return [
      Buffer.alloc(bytes.length),
      Buffer.alloc(bytes.length, 0xff),
      Buffer.from('c0aff4908080eda0', 'hex'),
    ]
  }
  const { length } = bytes
  const top = 1n << BigInt(8 * length - 1)
  return integers(length, [0n, 1n, -1n, -2n, 2n, 1000n, top - 1n, -top, -top + 1n])
}

type Change = (pieces: Piece[], at: number, choice: number) => void

const changes: Record<string, Change> = {
  lie: (pieces, at, choice) => {
    const lies = liesFor(pieces[at]!)
    pieces[at] = { kind: pieces[at]!.kind, bytes: lies[choice % lies.length]! }
  },
  nudge: (pieces, at, choice) => {
    const bytes = Buffer.from(pieces[at]!.bytes)
    bytes[bytes.length - 1]! += choice % 2 === 0 ? 1 : -1
    pieces[at] = { kind: pieces[at]!.kind, bytes }
  },
  leaveOut: (pieces, at) => void pieces.splice(at, 1),
  repeat: (pieces, at, choice) =>
    void pieces.splice(at, 0, ...pieces.slice(at, at + 1 + (choice % 6)).map((piece) => ({ ...piece }))),
  swap: (pieces, at, choice) => {
    const other = choice % pieces.length
    ;[pieces[at], pieces[other]] = [pieces[other]!, pieces[at]!]
  },
  cutShort: (pieces, at, choice) => {
    const { kind, bytes } = pieces[at]!
    pieces[at] = { kind, bytes: bytes.subarray(0, choice % bytes.length) }
  },
  // Tags that nobody declared, or that are there twice.
  insertTags: (pieces, at, choice) => {
    const tags = [3, choice % 5, 0, choice % 5, 1, 0xff, 99, 0].flatMap((value) => [...varintOf(value)])
    pieces.splice(at, 1, { kind: 'content', bytes: Buffer.from(tags) })
  },
}

/** One change to pieces that somebody may make who means no good. */
export const change = fc.tuple(fc.constantFrom(...Object.keys(changes)), fc.nat(), fc.nat({ max: 1000 }))

/** The bytes of pieces after some changes. */
export function broken(pieces: Piece[], by: readonly (readonly [string, number, number])[]): Buffer {
  for (const [name, at, choice] of by)
    if (pieces.length > 0) changes[name]!(pieces, at % pieces.length, choice)
  return joined(pieces)
}
