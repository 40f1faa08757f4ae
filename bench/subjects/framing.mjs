/**
 * A log as a careful programmer writes it by hand over `fs`: each record behind its length, a group in one write, or
 * in writes of at most 1 MiB where it is larger. No offsets, checksums, indexes or recovery.
 */
import { closeSync, fstatSync, mkdirSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'

const LENGTH_BYTES = 4
const STAGING_BYTES = 1 << 20
/** Values up to this are copied behind one another; larger ones are written from where they lie. */
const COPIED_BYTES = 8 << 10
const READ_BYTES = 1 << 20

export function fileIn(dir) {
  mkdirSync(dir, { recursive: true })
  return join(dir, 'records.log')
}

const staging = Buffer.allocUnsafeSlow(STAGING_BYTES)

/** Cuts a group into writes: each a list of buffers. Valid until the next call. */
export function* writesOf(values) {
  let vectors = []
  let bytes = 0
  let staged = 0
  let stagedFrom = 0
  const endOfCopied = () => {
    if (staged > stagedFrom) vectors.push(staging.subarray(stagedFrom, staged))
    stagedFrom = staged
  }
  for (const value of values) {
    if (bytes > 0 && bytes + LENGTH_BYTES + value.length > STAGING_BYTES) {
      endOfCopied()
      yield vectors
      vectors = []
      bytes = staged = stagedFrom = 0
    }
    staged = staging.writeUInt32BE(value.length, staged)
    if (value.length <= COPIED_BYTES) {
      staging.set(value, staged)
      staged += value.length
    } else {
      endOfCopied()
      vectors.push(value)
    }
    bytes += LENGTH_BYTES + value.length
  }
  endOfCopied()
  if (vectors.length > 0) yield vectors
}

/** Hands out the values of such a file, read in pieces of 1 MiB. */
export function replayFile(path, visit) {
  const file = openSync(path)
  let rest = Buffer.alloc(0)
  for (;;) {
    const piece = Buffer.allocUnsafeSlow(rest.length + READ_BYTES)
    piece.set(rest)
    const read = readSync(file, piece, rest.length, READ_BYTES, null)
    if (read === 0) break
    const end = rest.length + read
    let at = 0
    while (end - at >= LENGTH_BYTES) {
      const next = at + LENGTH_BYTES + piece.readUInt32BE(at)
      if (next > end) break
      visit(piece.subarray(at + LENGTH_BYTES, next))
      at = next
    }
    rest = piece.subarray(at, end)
  }
  closeSync(file)
}

/** Records of one length are found, and counted, by it. */
export function readValue(file, index, valueBytes) {
  const buffer = Buffer.allocUnsafe(valueBytes)
  readSync(file, buffer, 0, valueBytes, index * (LENGTH_BYTES + valueBytes) + LENGTH_BYTES)
  return buffer
}

export function countValues(file, valueBytes) {
  return fstatSync(file).size / (LENGTH_BYTES + valueBytes)
}
