/** Batches of records appended at once, and batches that somebody else has encoded. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { measureAppends } from '../harness/append-measurement.mjs'
import { nanoseconds, timed } from '../harness/clock.mjs'
import { Payload } from '../harness/payload.mjs'
import { assertReadBack } from '../harness/read-back.mjs'
import * as show from '../report/figures.mjs'
import { comparison } from '../report/table.mjs'
import { byHand, load, stores } from '../subjects/index.mjs'

export const name = 'batches'
export const title = 'Batches'

const all = ['varve', ...stores, ...byHand, 'ceiling']
const VALUE_BYTES = 1024
/** Bytes of a batch around its records, and of each record around its value, as the format has them. */
const BATCH_OVERHEAD = 61
const RECORD_OVERHEAD = 16
const MOST_BYTES = 512 << 20
const WARM_UP_BYTES = 32 << 20

export function cells({ full }) {
  const gathered = [false, true].flatMap((durable) =>
    (full ? [10, 100, 1000] : [100, 1000]).map((group) => ({
      id: `${durable ? 'durable' : 'page cache'}, ${show.count(group)} × 1 KB`,
      subjects: all,
      parameters: { bytes: VALUE_BYTES, group, durable },
    })),
  )
  const encoded = [64 << 10, 1 << 20].flatMap((batchBytes) =>
    (full ? [1, 4, 16] : [1, 16]).map((inFlight) => ({
      id: `${show.bytes(batchBytes)}, ${inFlight} in flight`,
      subjects: ['varve', 'ceiling'],
      parameters: { encoded: true, batchBytes, inFlight },
    })),
  )
  return [...gathered, ...encoded]
}

export function measure(subject, parameters, context) {
  const { encoded, batchBytes, inFlight } = parameters
  if (encoded !== true) return measureAppends(subject, parameters, context)
  return subject === 'ceiling'
    ? measureAppends(subject, { bytes: batchBytes, inFlight, durable: false }, context)
    : measureEncoded(parameters, context)
}

/** `appendBatches` as a broker calls it: the batches are there, checksums included. */
async function measureEncoded({ batchBytes, inFlight }, { dir, milliseconds }) {
  const { open } = await load('varve')
  const { encodeBatch } = await import('@varve/records')
  const perBatch = Math.floor((batchBytes - BATCH_OVERHEAD) / (VALUE_BYTES + RECORD_OVERHEAD))
  const payload = new Payload(VALUE_BYTES)
  const records = payload.values(0, perBatch).map((value) => ({ value }))
  const round = async (place, limit, maxBytes, check) => {
    const reopen = () => open(join(dir, place), { durable: false })
    const { log, close } = await reopen()
    // A buffer belongs to the log until its append is acknowledged: each caller has its own.
    const buffers = Array.from({ length: inFlight }, () => encodeBatch(records))
    const until = nanoseconds() + limit * 1e6
    let batches = 0
    const { seconds, cpuSeconds } = await timed(() =>
      Promise.all(
        buffers.map(async (buffer) => {
          while (nanoseconds() < until && batches * buffer.length < maxBytes) {
            batches++
            await log.appendBatches([buffer])[0]
          }
        }),
      ),
    )
    const count = log.endOffset
    if (count !== batches * perBatch) throw new Error(`${batches} batches became ${count} records`)
    await close()
    if (check) await assertReadBack(reopen, { checksum: () => repeated(payload, perBatch, batches) }, count)
    rmSync(join(dir, place), { recursive: true })
    const bytes = batches * buffers[0].length
    return {
      batches,
      seconds,
      megabytesPerSecond: bytes / seconds / 1e6,
      cpuSecondsPerGigabyte: (cpuSeconds * 1e9) / bytes,
    }
  }
  await round('warm-up', milliseconds / 3, WARM_UP_BYTES, true)
  globalThis.gc()
  return round('measured', milliseconds, MOST_BYTES, false)
}

/** The checksum of the same `perBatch` values, `batches` times over. */
function repeated(payload, perBatch, batches) {
  const checksum = payload.checksum(0)
  for (let batch = 0; batch < batches; batch++) {
    for (let index = 0; index < perBatch; index++) checksum.add(payload.value(index))
  }
  return checksum
}

export function tables(measured) {
  const gathered = measured.filter(({ parameters }) => parameters.encoded !== true)
  const encoded = measured.filter(({ parameters }) => parameters.encoded === true)
  return [
    comparison({
      name: 'batches',
      title: 'Batches of records, one batch after the other',
      text: 'Records a second. A batch is one `append` of varve, one `batch()` of LevelDB, the puts of one turn of LMDB, one transaction of SQLite, one write of fs and of the ceiling; durable ones end with an fdatasync.',
      cells: gathered,
      figure: ({ perSecond }) => perSecond,
      show: show.perSecond,
    }),
    comparison({
      name: 'batches-encoded',
      title: 'Encoded batches to the page cache',
      text: '`appendBatches` of batches that a producer has encoded, as a broker stores them: checked in full, checksum and each record, then written. The ceiling writes as many bytes and looks at none.',
      cells: encoded,
      figure: ({ megabytesPerSecond }) => megabytesPerSecond,
      show: show.megabytes,
    }),
  ]
}
