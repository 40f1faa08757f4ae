/** What we want to reach with three brokers beside three of Kafka's. Where there are several cells, judged by the worst of them. */
import { EQUAL, against, atMost, every, figures, having, medianOf } from '../kafka/judging.mjs'
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
  ['memory of the three brokers', 'residentBytes', 1 / 5, 'at most 1/5', wholeMegabytes],
]

/** @type {readonly import('../report/judged.mjs').Aim[]} */
export const aims = [
  {
    work: 'produce in 16 KB batches',
    aim: 'CPU time of the brokers at most 1/5, throughput at least 3×',
    section: 'cluster-produce',
    judge(_, cells) {
      const small = having(cells, ({ batch }) => batch === '16 KB')
      return every(against(small, figures.cpu, 1 / 5), against(small, figures.throughput, 3))
    },
  },
  {
    work: 'produce in large batches',
    aim: 'CPU time of the brokers at most 1/3, throughput at least 1.5×',
    section: 'cluster-produce',
    judge(_, cells) {
      const large = having(cells, ({ batch }) => batch === '1 MB')
      return every(against(large, figures.cpu, 1 / 3), against(large, figures.throughput, 1.5))
    },
  },
  {
    work: 'acks all against acks 1, 16 KB batches',
    aim: 'at least half of the throughput',
    section: 'cluster-produce',
    judge(find) {
      const found = shares(find, { acks: 'all', minInsync: 2 }, { acks: 1, minInsync: 2 })
      return found && { measured: found.measured, reached: found.ours >= 1 / 2 }
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
    aim: 'p99 at most 1/2',
    section: 'cluster-latency',
    judge(_, cells) {
      const paced = having(cells, ({ isPaced }) => isPaced)
      return against(paced, figures.p99, 1 / 2)
    },
  },
  {
    work: 'one message in flight, RF 3, acks all',
    aim: 'p50 at most 1 ms',
    section: 'cluster-latency',
    judge(_, cells) {
      const [one] = having(
        cells,
        (each) => !each.isPaced && each.acks === 'all' && each.replicationFactor === 3,
      )
      return atMost(one, figures.p50.of, 1000, figures.p50.show)
    },
  },
  ...[
    ['killed', 'at most 2 s', 2000],
    ['still', 'at most the session timeout (9 s) and 2 s', 11_000],
  ].map(([misfortune, aim, most]) => ({
    work: `leader ${misfortune === 'still' ? 'stands still' : misfortune}, until the first acknowledged write: p99`,
    aim,
    section: 'cluster-failover',
    judge(_, cells) {
      const [cell] = having(cells, (each) => each.misfortune === misfortune)
      return atMost(cell, ({ milliseconds }) => milliseconds.p99, most, show.milliseconds)
    },
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
    aim: 'of the busiest broker at most 3 % of a core',
    section: 'cluster-partitions',
    judge: (_, [cell]) =>
      atMost(
        cell,
        ({ idleCpuPercent }) => Math.max(...Object.values(idleCpuPercent)),
        3,
        (value) => `${value.toFixed(1)} %`,
      ),
  },
]
