// Every codec's library believes its input: one allocates what a block announces, one expands a frame whole before it
// returns, and Node's zstd of line 22 takes half a frame for a frame without a word. What strangers send has to be
// looked at before the library sees it, whichever library it is.

import fc from 'fast-check'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { sampleText } from '../../../test/support/sample-text.js'
import { compress, compressionOptions, decompress, VarveError } from '../src/index.js'
import { XERIAL_HEADER } from '../src/snappy-blocks.js'
import { builtInZstd, libraryZstd, zstdCodec } from '../src/zstd-codec.js'

const MIB = 1 << 20

function codeOf(run: () => unknown): string {
  try {
    run()
  } catch (error) {
    if (VarveError.is(error)) return error.code
    throw error
  }
  return 'nothing thrown'
}

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 300 }).map((part) => Buffer.from(part)),
  fc
    .tuple(fc.uint8Array({ minLength: 1, maxLength: 20 }), fc.nat({ max: 200_000 }))
    .map(([pattern, length]) => Buffer.alloc(length, pattern)),
)

test.each(['gzip', 'snappy', 'lz4', 'zstd'] as const)(
  '%s gives back any bytes, and knows when it is cut',
  (codec) => {
    fc.assert(
      fc.property(bytes, fc.nat(), (original, seed) => {
        const packed = compress(codec, original)
        expect(decompress(codec, packed, original.length + 128 * 1024).equals(original)).toBe(true)
        const cut = packed.subarray(0, seed % packed.length)
        try {
          // A cut between two blocks of snappy is no error of the codec's: the records behind it are missed instead.
          const read = decompress(codec, cut, MIB)
          expect(codec).toBe('snappy')
          expect(read.equals(original.subarray(0, read.length))).toBe(true)
        } catch (error) {
          if (!VarveError.is(error)) throw error
          expect(error.code).toBe('VARVE_BATCH_INVALID')
        }
      }),
      { numRuns: 60 },
    )
  },
)

const text = (): Buffer => sampleText(3000, 1)

describe('levels', () => {
  const withAddon = process.env['VARVE_NO_NATIVE'] !== '1'

  test.each([
    ['gzip', 1, 6],
    ['zstd', -50, 22],
  ] as const)('%s at level %i is larger than at %i', (codec, low, high) => {
    const original = text()
    const [least, most] = [low, high].map((level) => compress(codec, original, level))
    expect(least!.length).toBeGreaterThan(most!.length)
    for (const packed of [least!, most!]) expect(decompress(codec, packed, MIB).equals(original)).toBe(true)
    const byDefault = codec === 'gzip' ? -1 : 3
    expect(compress(codec, original).equals(compress(codec, original, byDefault))).toBe(true)
  })

  test.skipIf(!withAddon)(
    'lz4 is high compression at every level but the default, by which it is fast',
    () => {
      const original = text()
      const [fast, low, high] = [9, 1, 12].map((level) => compress('lz4', original, level))
      expect(fast!.equals(compress('lz4', original))).toBe(true)
      expect(low!.length).toBeLessThan(fast!.length)
      expect(high!.length).toBeLessThan(low!.length)
      expect(decompress('lz4', high!, MIB).equals(original)).toBe(true)
    },
  )

  test('lz4 at a level without the addon says what it needs', () => {
    vi.stubEnv('VARVE_NO_NATIVE', '1')
    onTestFinished(() => void vi.unstubAllEnvs())
    expect(() => compress('lz4', text(), 12)).toThrow(
      expect.objectContaining({
        code: 'VARVE_UNSUPPORTED_CODEC',
        message: expect.stringContaining('needs @varve/native'),
      }),
    )
  })

  test.each([
    ['gzip', 0],
    ['gzip', 10],
    ['gzip', 1.5],
    ['gzip', NaN],
    ['lz4', 0],
    ['lz4', 18],
    ['zstd', 23],
    ['zstd', -131_073],
    ['snappy', 1],
    ['none', 0],
  ] as const)('%s has no level %d', (codec, level) => {
    expect(codeOf(() => compressionOptions({ codec, level }))).toBe('VARVE_INVALID_OPTION')
    if (codec !== 'none') expect(codeOf(() => compress(codec, text(), level))).toBe('VARVE_INVALID_OPTION')
  })
})

const block = (...parts: Array<string | Buffer>): Buffer =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'hex') : part)))

describe('snappy', () => {
  const hello = compress('snappy', Buffer.from('hello'))

  test('is read without framing, as librdkafka writes it', () => {
    const raw = hello.subarray(XERIAL_HEADER.length + 4)
    expect(decompress('snappy', raw, 5).toString()).toBe('hello')
    expect(codeOf(() => decompress('snappy', raw, 4))).toBe('VARVE_DECOMPRESSION_LIMIT')
  })

  test('a framed stream behind another is one stream', () => {
    expect(decompress('snappy', Buffer.concat([hello, hello]), 10).toString()).toBe('hellohello')
    expect(codeOf(() => decompress('snappy', Buffer.concat([hello, hello]), 9))).toBe(
      'VARVE_DECOMPRESSION_LIMIT',
    )
  })

  test.each([
    ['nothing at all', Buffer.alloc(0)],
    ['a block that announces 4 GiB', block('ffffffff0f', 'aa')],
    ['a block that announces more than its bytes can hold', block('8080808001', Buffer.alloc(100))],
    ['a length without end', block('ffffffffff')],
    ['a header cut short', XERIAL_HEADER.subarray(0, 12)],
    ['a header for readers of a later version', block(XERIAL_HEADER.subarray(0, 12), '00000002')],
    ['a negative length', block(XERIAL_HEADER, 'ffffffff', hello)],
    ['a block beyond the end', block(XERIAL_HEADER, '00000100', '01')],
    ['a copy from before the start', block('05', '0108')],
  ])('refuses %s', (_, blob) => {
    expect(codeOf(() => decompress('snappy', blob, 1024 * MIB))).toBe('VARVE_BATCH_INVALID')
  })
})

// magic, a frame header with a window of 1 MiB, and blocks: last or not, of a type, with a size and bytes.
const RAW = 0
const RLE = 1
const COMPRESSED = 2
const frame = (...blocks: Array<[type: number, size: number, bytes: string]>): Buffer =>
  block(
    '28b52ffd0050',
    ...blocks.flatMap(([type, size, hex], index) => {
      const header = Buffer.alloc(3)
      header.writeUIntLE((size << 3) | (type << 1) | (index === blocks.length - 1 ? 1 : 0), 0, 3)
      return [header, hex]
    }),
  )
const abc: [number, number, string] = [RAW, 3, '616263']
const hole: [number, number, string] = [RLE, 128 * 1024, '00']

const implementations = [{ name: 'the library', load: libraryZstd }]
const builtIn = builtInZstd()
if (builtIn !== null) implementations.push({ name: "Node's own", load: () => builtIn })

describe.each(implementations)('zstd by $name', ({ load }) => {
  const zstd = zstdCodec(load)

  test('reads the other’s bytes', () => {
    for (const { load } of implementations) {
      const original = Buffer.alloc(300_000, 'some text, again and again')
      for (const level of [undefined, -131_072, 22]) {
        const packed = zstdCodec(load).compress(original, level)
        expect(zstd.decompress(packed, MIB).equals(original)).toBe(true)
      }
    }
  })

  test('is smaller at a higher level', () => {
    expect(zstd.compress(text(), 22).length).toBeLessThan(zstd.compress(text(), -50).length)
  })

  test('a gigabyte out of some kilobytes ends at the limit, before the memory is spent', () => {
    const bomb = frame(...Array.from({ length: 8192 }, () => hole), abc)
    expect(bomb.length).toBeLessThan(40_000)
    const before = process.memoryUsage.rss()
    expect(codeOf(() => zstd.decompress(bomb, MIB))).toBe('VARVE_DECOMPRESSION_LIMIT')
    expect(process.memoryUsage.rss() - before).toBeLessThan(64 * MIB)
  })

  test('the limit is exact for what blocks say themselves, over all frames', () => {
    const three = Buffer.concat([
      frame(abc),
      block('5a2a4d18', '02000000', 'ffff'),
      frame(abc, [RLE, 2, '64']),
    ])
    expect(zstd.decompress(three, 8).toString()).toBe('abcabcdd')
    expect(codeOf(() => zstd.decompress(three, 7))).toBe('VARVE_DECOMPRESSION_LIMIT')
  })

  test.each([
    ['nothing at all', Buffer.alloc(0)],
    ['something else', Buffer.from('not a frame, but long enough')],
    ['a reserved bit set', block('28b52ffd0850', '190000616263')],
    ['no last block', block('28b52ffd0050', '180000616263')],
    ['a block of the reserved type', frame([3, 3, '616263'])],
    ['a block larger than blocks may be', frame([RLE, 128 * 1024 + 1, '00'])],
    ['a block beyond the end', frame([RAW, 300, '61'])],
    ['a compressed block that is garbage', frame([COMPRESSED, 8, 'ffffffffffffffff'])],
    ['a checksum cut short', block('28b52ffd0450', '190000616263', 'aabb')],
    ['a skippable frame beyond the end', block('502a4d18', '00010000', '00')],
    ['a frame and garbage', block(frame(abc), 'ff')],
  ])('refuses %s', (_, blob) => {
    expect(codeOf(() => zstd.decompress(blob, MIB))).toBe('VARVE_BATCH_INVALID')
  })
})
