/** Record batches in JavaScript, no disk and no log: encoding, decoding, checksums. */
import * as show from '../report/figures.mjs'

export const name = 'codec'
export const title = 'Record batches in memory'

const SHAPES = [
  { records: 1, bytes: 1024 },
  { records: 100, bytes: 100 },
  { records: 100, bytes: 1024 },
]
const WORKS = { encode: 'encodeBatch', decode: 'records()', checksum: 'verifyCrc' }

export function cells() {
  return SHAPES.flatMap((shape) =>
    Object.keys(WORKS).map((work) => ({
      id: `${WORKS[work]}, ${shape.records} × ${show.bytes(shape.bytes)}`,
      subjects: ['varve'],
      parameters: { work, ...shape },
    })),
  )
}

export async function measure(_, { work, records: count, bytes }, { milliseconds }) {
  const { Bench } = await import('tinybench')
  const { encodeBatch, RecordBatch } = await import('@varve/records')
  const records = Array.from({ length: count }, (_, i) => ({
    key: `key-${i}`,
    value: Buffer.alloc(bytes, i),
  }))
  const encoded = encodeBatch(records, { now: 0 })
  const works = {
    encode() {
      const { length } = encodeBatch(records, { now: 0 })
      if (length !== encoded.length) throw new Error(`${length} bytes were encoded, not ${encoded.length}`)
    },
    decode() {
      let seen = 0
      for (const { value } of RecordBatch.parse(encoded).records()) seen += value.length
      if (seen !== count * bytes) throw new Error(`${seen} bytes were decoded, not ${count * bytes}`)
    },
    checksum() {
      if (!RecordBatch.parse(encoded).verifyCrc()) throw new Error('the checksum does not agree')
    },
  }
  const bench = new Bench({ time: milliseconds, warmupTime: milliseconds / 3, throws: true })
  bench.add(work, works[work])
  const [{ result }] = await bench.run()
  return {
    perSecond: result.throughput.mean * count,
    nanosecondsPerBatch: result.latency.p50 * 1e6,
  }
}

export function tables(measured) {
  const done = measured.filter(({ subjects }) => subjects.varve?.median !== undefined)
  return [
    {
      name: 'codec',
      title: 'Encoding, decoding and checking record batches',
      text: 'Measured by tinybench. Records decode lazily: here their values are asked for.',
      header: ['', 'records', 'p50 a batch'],
      rows: done.map(({ id, subjects: { varve } }) => [
        id,
        show.perSecond(varve.median.perSecond),
        show.microseconds(varve.median.nanosecondsPerBatch / 1000),
      ]),
      chart: {
        groups: Object.values(WORKS).map((title) => ({
          title,
          bars: done
            .filter(({ parameters }) => WORKS[parameters.work] === title)
            .map(({ parameters: { records, bytes }, subjects: { varve } }) => ({
              title: `${records} × ${show.bytes(bytes)}`,
              value: varve.median.perSecond,
              text: show.perSecond(varve.median.perSecond),
              isOurs: true,
            })),
        })),
      },
    },
  ]
}
