/** A closed log of any number of small segments, made in seconds: rolling them would take an fsync or more for each. */
import { copyFileSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openLog } from '@varve/log'

const SEGMENT_BYTES = 8192
const SEALED = 1
const CHECKPOINT = 'recovery-point-offset-checkpoint'
const LENGTH_AT = 8
const LENGTH_OVERHEAD = 12

/**
 * Fills `dir` with a log of `segments` sealed segments and an active one, batches of one record of `value`. All sealed
 * segments are the first one, whose batches get other base offsets: those are no part of what a checksum covers, and
 * the entries of an index count from the segment's base.
 *
 * @returns {Promise<number>} how many records it has
 */
export async function writeSegments(dir, segments, value) {
  const log = await openLog(dir, { durability: 'os', segmentBytes: SEGMENT_BYTES })
  while (basesIn(dir).length <= SEALED) await log.append([{ value }])
  await log.close()
  const [, perSegment] = basesIn(dir)
  const rest = log.endOffset - perSegment
  const copied = readdirSync(dir).filter((name) => name.startsWith(nameOf(0)))
  const active = readdirSync(dir).filter((name) => name.startsWith(nameOf(perSegment)))
  const end = segments * perSegment
  for (const name of active) copyShifted(dir, name, perSegment, end)
  for (let base = perSegment; base < end; base += perSegment) {
    for (const name of copied) copyShifted(dir, name, 0, base)
  }
  const checkpoint = join(dir, CHECKPOINT)
  const lines = readFileSync(checkpoint, 'utf8').replace(/ \d+\n$/, ` ${end + rest}\n`)
  writeFileSync(checkpoint, lines)
  return end + rest
}

const nameOf = (offset) => String(offset).padStart(20, '0')

const basesIn = (dir) =>
  readdirSync(dir)
    .filter((name) => name.endsWith('.log'))
    .map((name) => Number(name.slice(0, -4)))
    .sort((a, b) => a - b)

/** A segment's file under the name of another base offset. */
function copyShifted(dir, name, from, to) {
  const target = join(dir, nameOf(to) + name.slice(nameOf(0).length))
  if (!name.endsWith('.log')) {
    copyFileSync(join(dir, name), target)
  } else {
    const bytes = readFileSync(join(dir, name))
    for (let at = 0; at < bytes.length; at += LENGTH_OVERHEAD + bytes.readInt32BE(at + LENGTH_AT)) {
      bytes.writeBigInt64BE(bytes.readBigInt64BE(at) + BigInt(to - from), at)
    }
    writeFileSync(target, bytes)
  }
  // Sparse numbers: the segment that was active lies somewhere else now.
  if (from !== 0) rmSync(join(dir, name))
}
