/** What we want to reach beside what a Node developer would take instead. */
import * as show from './figures.mjs'
import { best } from './table.mjs'
import { byHand, stores, titles } from '../subjects/index.mjs'

const perSecond = (measured) => measured.perSecond
const megabytes = (measured) => measured.megabytesPerSecond
const varveIn = (cell) => cell?.subjects.varve?.median
const ceilingIn = (cell) => cell?.subjects.ceiling?.median

/** Varve against the best of some subjects: how much, against whom, and whether it is `times` as much. */
function against(cell, among, figure, times, value = figure(varveIn(cell) ?? {})) {
  const other = cell === undefined ? undefined : best(cell, among, figure)
  if (other === undefined || value === undefined) return null
  const measured = `${show.ratio(value, other.value)} ${titles[other.subject]} (${show.perSecond(value)} against ${show.perSecond(other.value)})`
  return { measured, reached: value >= times * other.value }
}

const share = (cell, atLeast) => {
  const [ours, theirs] = [varveIn(cell), ceilingIn(cell)]
  if (ours === undefined || theirs === undefined) return null
  const value = megabytes(ours) / megabytes(theirs)
  const measured = `${Math.round(value * 100)} % (${show.megabytes(megabytes(ours))} of ${show.megabytes(megabytes(theirs))})`
  return { measured, reached: value >= atLeast }
}

const atMost = (value, most, text) =>
  value === undefined ? null : { measured: text(value), reached: value <= most }

const KB = 1024
const appended = (durable, inFlight) => (one) =>
  one.durable === durable && one.bytes === KB && one.inFlight === inFlight
const encoded = (batchBytes) => (one) =>
  one.encoded === true && one.batchBytes === batchBytes && one.inFlight === 16
const replayed = (work) => (one) => one.work === work && one.data.bytes === KB && one.data.group === 100

const sentInMegabytes = (one) => one.bytes === KB * KB && one.connections === 1
/** What counts as equally fast: repetitions of one cell differ by as much. */
const EQUAL = 1.25

/** How much longer the median append, or lookup, takes where there is more of `what`. */
function grown(find, what, few, many) {
  const [small, large] = [few, many].map((count) => varveIn(find((one) => one.data[what] === count)))
  if (small === undefined || large === undefined) return null
  const ratios = ['appends', 'lookUps'].map((work) => large[work].p50 / small[work].p50)
  const [append, lookUp] = ratios.map((value) => show.ratio(value, 1))
  return { measured: `append ${append}, lookup ${lookUp} the time`, reached: Math.max(...ratios) <= EQUAL }
}

/** @type {readonly import('./judged.mjs').Aim[]} */
export const aims = [
  {
    work: 'durable 1 KB appends, 1,024 in flight',
    aim: '4× the best store',
    section: 'append',
    obstacle:
      'each append has a promise of its own, most of its CPU time, and two halves of a wave an fsync each',
    judge: (find) => against(find(appended(true, 1024)), stores, perSecond, 4),
  },
  {
    work: 'the same',
    aim: 'above fs by hand with one fdatasync for each group',
    section: 'append',
    obstacle:
      'each append has a promise, an offset and a place in an index of its own; by hand a group is one call',
    judge: (find) => against(find(appended(true, 1024)), byHand, perSecond, 1),
  },
  {
    work: 'durable 1 KB appends, one at a time',
    aim: 'p50 within 1.6× of bare write + fdatasync',
    section: 'append',
    obstacle:
      'the fdatasync runs on a thread, so that the event loop does not wait: a hop there and one back',
    judge(find) {
      const cell = find(appended(true, 1))
      const [ours, theirs] = [varveIn(cell)?.latencies.p50, ceilingIn(cell)?.latencies.p50]
      if (ours === undefined || theirs === undefined) return null
      const measured = `${show.ratio(ours, theirs)} (${show.microseconds(ours)} against ${show.microseconds(theirs)})`
      return { measured, reached: ours <= 1.6 * theirs }
    },
  },
  {
    work: 'page-cache appends of 1 KB, 1,024 in flight',
    aim: '5× the best store',
    section: 'append',
    obstacle: 'each append has a promise and an object with its offsets, which is most of its CPU time',
    judge: (find) => against(find(appended(false, 1024)), stores, perSecond, 5),
  },
  ...[64 * KB, KB * KB].map((size) => ({
    work: `page-cache appends of ${show.bytes(size)} batches`,
    aim: '80 % of the ceiling',
    section: 'batches',
    obstacle: 'batches are checked on the thread that writes them, checksum and every record',
    judge: (find) => share(find(encoded(size)), 0.8),
  })),
  {
    work: 'replay of 1 KB records, record by record',
    aim: '3× the best store',
    section: 'reads',
    judge: (find) => against(find(replayed('replay')), stores, perSecond, 3),
  },
  {
    work: 'replay of 1 KB records, batch by batch',
    aim: '5× the best store',
    section: 'reads',
    obstacle: 'a slice of 256 KiB costs several native calls, and each record an object',
    judge(find) {
      const batched = varveIn(find(replayed('replayByBatch')))
      return against(find(replayed('replay')), stores, perSecond, 5, batched?.perSecond)
    },
  },
  {
    work: 'replay as batches',
    aim: '80 % of the ceiling',
    section: 'reads',
    obstacle:
      'a slice of 256 KiB costs several native calls and a checksum; the ceiling reads 1 MiB a call and checks none',
    judge: (find) => share(find(replayed('replayBatches')), 0.8),
  },
  {
    work: '`sendTo` of 1 MB',
    aim: 'half the CPU time of read + `socket.write`',
    section: 'send',
    obstacle:
      'over the loopback interface the copy into the socket, which both make, is most of the work of either',
    judge(find) {
      const cell = find(sentInMegabytes)
      const [ours, theirs] = [varveIn(cell), cell?.subjects['fs-async']?.median].map(
        (median) => median?.cpuSecondsPerGigabyte,
      )
      if (ours === undefined || theirs === undefined) return null
      const measured = `${show.ratio(ours, theirs)} (${ours.toFixed(2)} against ${theirs.toFixed(2)} s/GB)`
      return { measured, reached: ours <= 0.5 * theirs }
    },
  },
  {
    work: 'the same',
    aim: '85 % of a C loop of `sendfile`',
    section: 'send',
    obstacle: 'each call hops to the thread that sends, and back to the event loop when it has ended',
    judge: (find) => share(find(sentInMegabytes), 0.85),
  },
  {
    work: "append → follower in the process, `'os'`",
    aim: 'p99 under 1 ms',
    section: 'follow',
    judge: (find) =>
      atMost(
        varveIn(find((one) => one.durability === 'os' && one.paced))?.latencies.p99,
        1000,
        show.microseconds,
      ),
  },
  {
    work: 'open after close',
    aim: 'under 20 ms whatever the size',
    section: 'open',
    judge(find) {
      const all = [64 << 20, 512 << 20].map(
        (size) => varveIn(find((one) => one.size === size && one.data !== undefined))?.milliseconds,
      )
      return all.includes(undefined) ? null : atMost(Math.max(...all), 20, show.milliseconds)
    },
  },
  {
    work: 'open after kill',
    aim: 'recovery of 0.5 GB/s',
    section: 'open',
    judge(find) {
      const rate = varveIn(
        find((one) => one.size === 512 << 20 && one.killed !== undefined),
      )?.gigabytesPerSecond
      return rate === undefined ? null : { measured: `${rate.toFixed(2)} GB/s`, reached: rate >= 0.5 }
    },
  },
  {
    work: 'appends and lookups at 10,000 segments',
    aim: 'as fast as at 10',
    section: 'growth',
    obstacle: 'a lookup in a segment that was not read lately opens its file and reads its index',
    judge: (find) => grown(find, 'segments', 10, 10_000),
  },
  {
    work: 'appends and lookups at 1,000 partitions',
    aim: 'as fast as at 1',
    section: 'growth',
    obstacle: 'not profiled yet',
    judge: (find) => grown(find, 'partitions', 1, 1000),
  },
  {
    work: 'appends while a compaction runs',
    aim: 'p99 of 2× that without at most',
    section: 'compaction',
    judge(find) {
      const [without, during] = [false, true].map(
        (compacts) =>
          varveIn(find((one) => one.durability === 'os' && one.compacts === compacts && !one.bytesPerSecond))
            ?.latencies.p99,
      )
      if (without === undefined || during === undefined) return null
      const measured = `${show.ratio(during, without)} (${show.microseconds(during)} against ${show.microseconds(without)})`
      return { measured, reached: during <= 2 * without }
    },
  },
]
