/** What we want to reach with three brokers beside three of Kafka's. Where there are several cells, judged by the worst of them. */
import { EQUAL, against, every, figures, having, medianOf } from '../kafka/judging.mjs'
import { wholeMegabytes } from '../kafka/tables.mjs'
import * as show from '../report/figures.mjs'

const usual = {
  client: 'native',
  replicationFactor: 3,
  partitions: 1,
  producers: 1,
  batch: '16 KB',
  codec: 'none',
}

/** Whether a cell is the usual one but for these parameters. */
const isUsualWith = (changes) => (parameters) =>
  Object.entries({ ...usual, ...changes }).every(([name, value]) => parameters[name] === value)

/** A figure of Kafka's median and ours by its name. */
const named = (of, text) => ({ of, show: text })

/** How much of one cell's throughput another one has, of each. */
function shares(find, some, others) {
  const cells = [some, others].map((changes) => find(isUsualWith(changes)))
  const share = (subject) => {
    const [a, b] = cells.map((cell) => medianOf(cell, subject)?.perSecond)
    return a === undefined || b === undefined ? undefined : a / b
  }
  const [ours, theirs] = [share('varve'), share('kafka')]
  if (ours === undefined) return null
  const beside = theirs === undefined ? '' : ` (Kafka: ${show.ratio(theirs, 1)})`
  return { ours, theirs, measured: `${show.ratio(ours, 1)}${beside}` }
}

const ofManyPartitions = [
  ['start', 'startMilliseconds', 1 / 2, 'at most 1/2', show.milliseconds],
  ['a third of them fail over', 'failoverMilliseconds', 1, 'never longer', show.milliseconds],
  ['memory of the three brokers', 'residentBytes', 1 / 3, 'at most 1/3', wholeMegabytes],
]

/** @type {readonly import('../report/judged.mjs').Aim[]} */
export const aims = [
  {
    work: 'produce in 16 KB batches',
    aim: 'CPU time of the brokers at most 1/2',
    section: 'cluster-produce',
    judge: (_, cells) =>
      against(
        having(cells, ({ batch }) => batch === '16 KB'),
        figures.cpu,
        1 / 2,
      ),
  },
  {
    work: 'produce in large batches',
    aim: 'CPU time of the brokers at most 1/2',
    section: 'cluster-produce',
    judge: (_, cells) =>
      against(
        having(cells, ({ batch }) => batch === '1 MB'),
        figures.cpu,
        1 / 2,
      ),
  },
  {
    work: 'produce with the same client',
    aim: 'throughput never below',
    section: 'cluster-produce',
    judge: (_, cells) => against(cells, figures.throughput, 1),
  },
  {
    work: 'acks all against acks 1, 16 KB batches',
    aim: 'at least the share of the throughput that Kafka keeps',
    section: 'cluster-produce',
    judge(find) {
      const found = shares(find, { acks: 'all', minInsync: 2 }, { acks: 1, minInsync: 2 })
      if (found?.theirs === undefined) return null
      return { measured: found.measured, reached: found.ours >= found.theirs }
    },
  },
  {
    work: 'min.insync.replicas 3 against 2, acks all, 16 KB batches',
    aim: 'the same throughput',
    section: 'cluster-produce',
    judge(find) {
      const found = shares(find, { acks: 'all', minInsync: 3 }, { acks: 'all', minInsync: 2 })
      return found && { measured: found.measured, reached: found.ours * EQUAL >= 1 }
    },
  },
  {
    work: '5,000 records/s, RF 3, acks all',
    aim: 'p50 never longer, p99 at most 1/2',
    section: 'cluster-latency',
    judge(_, cells) {
      const paced = having(cells, ({ isPaced }) => isPaced)
      return every(against(paced, figures.p50, 1), against(paced, figures.p99, 1 / 2))
    },
  },
  {
    work: 'one message in flight, RF 3, acks all',
    aim: 'p50 never longer',
    section: 'cluster-latency',
    judge: (_, cells) =>
      against(
        having(cells, (one) => !one.isPaced && one.acks === 'all' && one.replicationFactor === 3),
        figures.p50,
        1,
      ),
  },
  ...[
    ['killed', 'p50'],
    ['killed', 'p99'],
    ['still', 'p50'],
  ].map(([misfortune, percent]) => ({
    work: `leader ${misfortune === 'still' ? 'stands still' : misfortune}, until the first acknowledged write: ${percent}`,
    aim: 'never longer',
    section: 'cluster-failover',
    judge: (_, cells) =>
      against(
        having(cells, (one) => one.misfortune === misfortune),
        named(({ milliseconds }) => milliseconds[percent], show.milliseconds),
        1,
      ),
  })),
  ...ofManyPartitions.map(([work, figure, limit, aim, text]) => ({
    work: `2,000 partitions × 3: ${work}`,
    aim,
    section: 'cluster-partitions',
    judge: (_, cells) =>
      against(
        cells,
        named((median) => median[figure], text),
        limit,
      ),
  })),
  {
    work: '2,000 partitions × 3: CPU time without anything to do',
    aim: 'of the busiest broker at most 1/2',
    section: 'cluster-partitions',
    judge: (_, cells) =>
      against(
        cells,
        named(
          ({ idleCpuPercent }) => Math.max(...Object.values(idleCpuPercent)),
          (value) => `${value.toFixed(1)} %`,
        ),
        1 / 2,
      ),
  },
]
