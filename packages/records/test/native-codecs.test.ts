// The engine looks into compressed batches with its own codecs, and this package with libraries. Where the two disagree, a
// batch that a producer here wrote is refused there, or one that the engine took cannot be read back; so each reads what the
// other wrote, and they agree on what is no data at all.

import { createRequire } from 'node:module'
import type * as Native from '@varve/native'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compress, decompress, VarveError } from '../src/index.js'
import { segmentsOf } from './kafka-fixtures.js'

const native = process.env['VARVE_NO_NATIVE'] === '1' ? null : load()

function load(): typeof Native {
  return createRequire(import.meta.url)('@varve/native') as typeof Native
}

const MIB = 1 << 20
const SLACK = 256 * 1024
const codecs = ['gzip', 'snappy', 'lz4', 'zstd'] as const
type Name = (typeof codecs)[number]

const data = fc.oneof(
  fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
  // What compresses well, over several blocks of every codec.
  fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 30 }), fc.nat({ max: 300_000 }))
    .map(([pattern, length]) => Buffer.alloc(length, pattern)),
  fc
    .tuple(fc.nat(), fc.nat({ max: 150_000 }))
    .map(([seed, length]) =>
      Buffer.from(Array.from({ length }, (_, n) => Math.imul(n + seed, n ^ seed) >>> 13)),
    ),
)

/** The bytes, or the code of the error. */
function outcome(decode: () => Buffer | Native.Failure): Buffer | string {
  try {
    const result = decode()
    return Buffer.isBuffer(result) ? result : result.code
  } catch (error) {
    if (VarveError.is(error)) return error.code
    throw error
  }
}

describe.skipIf(native === null).each(codecs)('%s', (codec) => {
  const here = (bytes: Buffer, maxBytes: number): Buffer | string =>
    outcome(() => decompress(codec, bytes, maxBytes))
  const there = (bytes: Buffer, maxBytes: number): Buffer | string =>
    outcome(() => native!.decompress(codec, bytes, maxBytes))

  test('each reads what the other wrote', () => {
    fc.assert(
      fc.property(data, (original) => {
        for (const packed of [compress(codec, original), native!.compress(codec, original)]) {
          for (const read of [here, there]) {
            expect(original.equals(read(packed, original.length + SLACK) as Buffer)).toBe(true)
          }
        }
      }),
      { numRuns: 40 },
    )
  })

  test('both notice what expands too far', () => {
    const original = Buffer.alloc(4 * MIB, 'bomb')
    for (const packed of [compress(codec, original), native!.compress(codec, original)]) {
      for (const read of [here, there]) {
        expect(read(packed, MIB)).toBe('VARVE_DECOMPRESSION_LIMIT')
        expect(original.equals(read(packed, 8 * MIB) as Buffer)).toBe(true)
      }
    }
  })

  test('damaged data reads as the same bytes or as an error, never as something else on one side', () => {
    const samples = [
      compress(codec, Buffer.from('some text, and some text again '.repeat(30))),
      ...stored(codec),
    ]
    fc.assert(
      fc.property(
        fc.constantFrom(...samples),
        fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 3 }),
        fc.option(fc.nat(), { nil: undefined }),
        (sample, changes, cut) => {
          const bytes = Buffer.from(sample.subarray(0, cut === undefined ? undefined : cut % sample.length))
          for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte
          const [ours, theirs] = [here(bytes, MIB), there(bytes, MIB)]
          if (Buffer.isBuffer(ours) && Buffer.isBuffer(theirs)) expect(ours.equals(theirs)).toBe(true)
        },
      ),
      { numRuns: 400 },
    )
  })
})

/** What Kafka's clients and brokers compressed. */
function stored(codec: Name): Buffer[] {
  return ['rdk', 'java', 'broker'].flatMap((writer) =>
    segmentsOf(`${writer}-${codec}`).map((segment) => {
      const length = 12 + segment.readInt32BE(8)
      return segment.subarray(61, length)
    }),
  )
}
