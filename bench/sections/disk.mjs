/** What the disk itself does, by bare system calls: why a log writes one behind the other, and what an fdatasync costs. */
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { Latencies } from '../harness/latencies.mjs'
import * as show from '../report/figures.mjs'
import { load } from '../subjects/index.mjs'

export const name = 'disk'
export const title = 'The disk'

const FILE_BYTES = 256 << 20
const SYNC_BYTES = 1 << 20
const PREALLOCATED_BYTES = 16 << 20
const data = { bytes: FILE_BYTES }

export function cells({ full }) {
  const overwriting = (full ? [4096, 16 << 10, 64 << 10] : [4096, 64 << 10]).flatMap((size) =>
    [false, true].map((random) => ({
      id: `${show.bytes(size)}, ${random ? 'random' : 'sequential'}`,
      subjects: ['ceiling'],
      parameters: { work: 'overwrite', size, random, syncBytes: SYNC_BYTES, data },
    })),
  )
  const single = [1024, 64 << 10].flatMap((size) => [
    {
      id: `${show.bytes(size)}, the file grows`,
      subjects: ['ceiling'],
      parameters: { work: 'append', size, preallocate: 0 },
    },
    {
      id: `${show.bytes(size)}, its blocks are preallocated`,
      subjects: ['ceiling'],
      parameters: { work: 'append', size, preallocate: PREALLOCATED_BYTES },
    },
    {
      id: `${show.bytes(size)}, it was written before`,
      subjects: ['ceiling'],
      parameters: { work: 'overwrite', size, random: false, syncBytes: size, data },
    },
  ])
  return [...overwriting, ...single]
}

const fileIn = (dir) => join(dir, 'file')

export async function prepare(_, { data: { bytes } }, { dir }) {
  const { append } = await load('ceiling')
  const limits = { nanoseconds: 60e9, maxBytes: bytes }
  append({ path: fileIn(dir), size: SYNC_BYTES, group: 1, durable: true, preallocate: 0, ...limits })
}

export async function measure(_, { work, size, random, syncBytes, preallocate }, { dir, milliseconds }) {
  const ceiling = await load('ceiling')
  const path = fileIn(dir)
  const limit = { path, size, nanoseconds: milliseconds * 1e6 }
  const result =
    work === 'append'
      ? ceiling.append({ ...limit, group: 1, durable: true, preallocate, maxBytes: FILE_BYTES })
      : ceiling.overwrite({ ...limit, random, syncBytes, fileBytes: FILE_BYTES })
  const { steps, bytes, nanoseconds, durations } = result
  const expected = work === 'append' ? bytes : FILE_BYTES
  if (statSync(path).size !== expected)
    throw new Error(`the file has ${statSync(path).size} bytes, not ${expected}`)
  const latencies = new Latencies()
  for (const duration of durations) latencies.record(duration)
  return {
    perSecond: (steps * 1e9) / nanoseconds,
    megabytesPerSecond: (bytes * 1e3) / nanoseconds,
    latencies: latencies.summary(),
  }
}

export function tables(measured) {
  const medianOf = (fits) => measured.find(({ parameters }) => fits(parameters))?.subjects.ceiling?.median
  const sizes = [...new Set(measured.filter(isSpread).map(({ parameters }) => parameters.size))]
  const rows = sizes.map((size) => {
    const [sequential, random] = [false, true].map(
      (random) =>
        medianOf((one) => one.syncBytes === SYNC_BYTES && one.size === size && one.random === random)
          ?.megabytesPerSecond,
    )
    const shown = (value) => (value === undefined ? 'failed' : show.megabytes(value))
    return [show.bytes(size), shown(sequential), shown(random), show.ratio(sequential, random)]
  })
  const single = measured.filter((cell) => !isSpread(cell) && cell.subjects.ceiling?.median !== undefined)
  return [
    {
      name: 'disk-random',
      title: 'Sequential against random writes',
      text: `Bare system calls into a file of ${show.bytes(FILE_BYTES)} that has its blocks, an fdatasync behind every ${show.bytes(SYNC_BYTES)}.`,
      header: ['', 'sequential', 'random', 'sequential ÷ random'],
      rows,
      chart: chartOf(
        measured.filter(isSpread),
        ({ megabytesPerSecond }) => megabytesPerSecond,
        show.megabytes,
      ),
    },
    {
      name: 'disk-fdatasync',
      title: 'One write and one fdatasync',
      text: 'Bare system calls. An fdatasync of a file that has grown, or whose blocks are used for the first time, also commits the journal.',
      header: ['', 'p50', 'p99', 'a second'],
      rows: single.map(({ id, subjects: { ceiling } }) => [
        id,
        show.microseconds(ceiling.median.latencies.p50),
        show.microseconds(ceiling.median.latencies.p99),
        show.perSecond(ceiling.median.perSecond),
      ]),
      chart: chartOf(single, ({ perSecond }) => perSecond, show.perSecond),
    },
  ]
}

const isSpread = ({ parameters }) => parameters.syncBytes === SYNC_BYTES

/** One group of bars, a bar for each cell. */
function chartOf(cells, figure, text) {
  const bars = cells
    .filter(({ subjects }) => subjects.ceiling?.median !== undefined)
    .map(({ id, subjects: { ceiling } }) => ({ title: id, value: figure(ceiling.median), isOurs: false }))
  return { groups: [{ title: '', bars: bars.map((bar) => ({ ...bar, text: text(bar.value) })) }] }
}
