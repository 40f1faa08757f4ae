/**
 * A splitter that works on the chunks its author saw loses a line where a chunk ends exactly at a newline, joins two where
 * one chunk is empty, or copies a long line once per chunk until it takes minutes.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { keyAndValue, linesOf } from '../src/cli/lines.js'

async function split(chunks: readonly string[]): Promise<string[]> {
  const lines: string[] = []
  for await (const group of linesOf(chunks.map((chunk) => Buffer.from(chunk, 'latin1')))) {
    lines.push(...group.map((line) => line.toString('latin1')))
  }
  return lines
}

test.for([
  { chunks: [], lines: [] },
  { chunks: [''], lines: [] },
  { chunks: ['\n'], lines: [''] },
  { chunks: ['a'], lines: ['a'] },
  { chunks: ['a\n'], lines: ['a'] },
  { chunks: ['a\n', '\n', 'b'], lines: ['a', '', 'b'] },
  { chunks: ['a', '', 'b', '\nc\r', '\n'], lines: ['ab', 'c\r'] },
])('$chunks are the lines $lines', async ({ chunks, lines }) => {
  expect(await split(chunks)).toEqual(lines)
})

test('lines do not depend on where the chunks end', async () => {
  const chunk = fc.string({ unit: fc.constantFrom('a', 'b', '\n', '\r', '\xff'), maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(fc.array(chunk), async (chunks) => {
      const whole = chunks.join('')
      const expected = whole.split('\n')
      // What follows the last newline is a line only if there is something.
      if (expected.at(-1) === '') expected.pop()
      expect(await split(chunks)).toEqual(expected)
    }),
  )
})

test('a line of many chunks is copied once', async () => {
  const chunk = Buffer.alloc(64 * 1024, 'x')
  const copies = Buffer.concat
  let copied = 0
  Buffer.concat = (list, length) => {
    const joined = copies(list, length)
    copied += joined.length
    return joined
  }
  try {
    const chunks = Array.from({ length: 500 }, () => chunk)
    for await (const [line] of linesOf(chunks)) expect(line).toHaveLength(500 * chunk.length)
    expect(copied).toBe(500 * chunk.length)
  } finally {
    Buffer.concat = copies
  }
})

test.for([
  { line: 'k:v', separator: ':', key: 'k', value: 'v' },
  { line: 'k::v', separator: ':', key: 'k', value: ':v' },
  { line: 'k::v', separator: '::', key: 'k', value: 'v' },
  { line: ':v', separator: ':', key: '', value: 'v' },
  { line: 'k:', separator: ':', key: 'k', value: '' },
  { line: 'kv', separator: ':', key: null, value: 'kv' },
  { line: 'k:v', separator: undefined, key: null, value: 'k:v' },
])('"$line" split at $separator', ({ line, separator, key, value }) => {
  const split = keyAndValue(Buffer.from(line), separator === undefined ? undefined : Buffer.from(separator))
  expect(split.key?.toString() ?? null).toBe(key)
  expect(split.value.toString()).toBe(value)
})
