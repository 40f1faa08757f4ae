// The tables and the native function must be the same function: a log that was written with one of them is
// checked with the other on a machine where the addon does not load.

import fc from 'fast-check'
import { afterEach, expect, test, vi } from 'vitest'
import { crc32c, crc32cPortable } from '../src/index.js'
import { loadNativeCrc32c } from '../src/crc32c.js'

// One bit at a time, straight from the polynomial.
function bitwise(bytes: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  }
  return ~crc >>> 0
}

const functions = [['tables', crc32cPortable] as const, ['whatever is there', crc32c] as const]
const native = loadNativeCrc32c()
if (native !== null) functions.push(['native', native] as never)

// Without this, either way could go unused and every test below would still pass.
test('the addon is used exactly where it should be', () => {
  expect(native === null).toBe(process.env['VARVE_NO_NATIVE'] === '1')
})

test.each(functions)('published check values: %s', (_, crc) => {
  expect(crc(Buffer.from('123456789'))).toBe(0xe3069283)
  // RFC 3720, appendix B.4.
  expect(crc(Buffer.alloc(32))).toBe(0x8a9136aa)
  expect(crc(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43)
  expect(crc(Buffer.from(Array.from({ length: 32 }, (_, index) => index)))).toBe(0x46dd794e)
  expect(crc(Buffer.alloc(0))).toBe(0)
})

test.each(functions)('any bytes, in one piece or in two: %s', (_, crc) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1200, size: 'max' }), fc.nat(), (bytes, seed) => {
      const cut = bytes.length === 0 ? 0 : seed % bytes.length
      expect(crc(bytes)).toBe(bitwise(bytes))
      expect(crc(bytes.subarray(cut), crc(bytes.subarray(0, cut)))).toBe(bitwise(bytes))
    }),
  )
})

afterEach(() => vi.unstubAllEnvs())

test('VARVE_NO_NATIVE=1 leaves the addon out', () => {
  vi.stubEnv('VARVE_NO_NATIVE', '1')
  expect(loadNativeCrc32c()).toBe(null)
})
