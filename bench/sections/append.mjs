/** Records appended one by one, some in flight at once: to the page cache, and durably. */
import * as show from '../report/figures.mjs'
import { comparison } from '../report/table.mjs'
import { byHand, stores } from '../subjects/index.mjs'

export { measureAppends as measure } from '../harness/append-measurement.mjs'

export const name = 'append'
export const title = 'Appends'

const subjects = ['varve', ...stores, ...byHand, 'ceiling']
/** More than this in flight is memory that nobody has to spare. */
const MOST_IN_FLIGHT_BYTES = 64 << 20

export function cells({ full }) {
  const sizes = full ? [100, 1024, 16 << 10, 64 << 10, 1 << 20] : [1024, 64 << 10]
  return [false, true].flatMap((durable) =>
    sizes.flatMap((bytes) =>
      [1, 64, 1024]
        .filter((inFlight) => inFlight * bytes <= MOST_IN_FLIGHT_BYTES)
        .map((inFlight) => ({
          id: `${show.bytes(bytes)}, ${show.count(inFlight)} in flight`,
          subjects,
          parameters: { bytes, inFlight, durable },
        })),
    ),
  )
}

const PAGE_CACHE =
  "An append is acknowledged when the page cache has it: it survives the process, not the power. varve: `durability: 'os'`, appends of a tick share batches; " +
  'LevelDB: `sync: false`, a `batch()` for each group; LMDB: `noSync`, a `put()` each, which it gathers itself; SQLite: WAL with ' +
  '`synchronous = NORMAL`, a transaction for each group; fs: one write for each group; ceiling: `pwritev`.'
const DURABLE =
  "An append is acknowledged when an fdatasync covers it. varve: `durability: 'fsync'`, appends of a tick share batches; LevelDB: `sync: true`, a `batch()` for each " +
  'group; LMDB: a `put()` each, awaited until `flushed`; SQLite: WAL with `synchronous = FULL`, a transaction for each group; fs: one ' +
  'write and one `fdatasync` for each group; ceiling: `pwritev` and `fdatasync`.'

export function tables(measured) {
  return [false, true].flatMap((durable) => {
    const cells = measured.filter(({ parameters }) => parameters.durable === durable)
    const one = cells.filter(({ parameters }) => parameters.inFlight === 1)
    const [kind, what, text] = durable
      ? ['durable', 'Durable appends', DURABLE]
      : ['page-cache', 'Appends to the page cache', PAGE_CACHE]
    return [
      comparison({
        name: `append-${kind}`,
        title: what,
        text,
        cells,
        figure: ({ perSecond }) => perSecond,
        show: show.perSecond,
      }),
      comparison({
        name: `append-${kind}-cpu`,
        title: `${what}: CPU time for each`,
        text: 'User and system time of the whole process, all of its threads.',
        cells,
        figure: ({ cpuMicrosecondsPerRecord }) => cpuMicrosecondsPerRecord,
        show: show.microseconds,
        lessIsBetter: true,
      }),
      ...['p50', 'p99'].map((percentile) =>
        comparison({
          name: `append-${kind}-${percentile}`,
          title: `${what}: ${percentile} of one at a time`,
          text: 'From the call to its acknowledgement.',
          cells: one,
          figure: ({ latencies }) => latencies[percentile],
          show: show.microseconds,
          lessIsBetter: true,
        }),
      ),
    ]
  })
}
