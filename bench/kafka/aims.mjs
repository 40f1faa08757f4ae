/** What we want to reach beside Apache Kafka, judged by the medians of both. Where there are several cells, by the worst of them. */
import * as show from '../report/figures.mjs'
import { EQUAL, against, atMost, every, figures, having, medianOf } from './judging.mjs'
import { wholeMegabytes } from './tables.mjs'

/** @type {readonly import('../report/judged.mjs').Aim[]} */
export const aims = [
  {
    work: 'produce in 16 KB batches',
    aim: 'CPU time of the broker at most 1/4',
    section: 'kafka-produce',
    obstacle: "two fifths of it is the kernel's in system calls, two fifths Node's own, a fifth ours",
    judge: (_, cells) =>
      against(
        having(cells, ({ batch }) => batch === '16 KB'),
        figures.cpu,
        1 / 4,
      ),
  },
  {
    work: 'produce in large batches',
    aim: 'CPU time of the broker at most 1/3',
    section: 'kafka-produce',
    obstacle: "two thirds of it is the kernel's copy into new pages of the page cache, which both pay",
    judge: (_, cells) =>
      against(
        having(cells, ({ batch }) => batch === '1 MB'),
        figures.cpu,
        1 / 3,
      ),
  },
  {
    work: 'produce with the same client',
    aim: 'throughput never below',
    section: 'kafka-produce',
    judge: (_, cells) => against(cells, figures.throughput, 1),
  },
  {
    work: 'produce where the broker is the limit: with the native client',
    aim: 'throughput at least 2×',
    section: 'kafka-produce',
    obstacle:
      'at a million records a second the page cache and the loopback are the limit, of which both have the same',
    judge: (_, cells) =>
      against(
        having(cells, ({ client }) => client === 'native'),
        figures.throughput,
        2,
      ),
  },
  {
    work: '100 connections with one small batch each',
    aim: 'as cheap for each batch as one connection with 100',
    section: 'kafka-requests',
    obstacle: 'each connection is read from and written to by itself, which is more than a third of it',
    judge(find) {
      const [many, one] = [100, 1].map((connections) =>
        medianOf(
          find((cell) => cell.connections === connections && cell.inFlight === 100 / connections),
          'varve',
        ),
      )
      if (many === undefined || one === undefined) return null
      const [a, b] = [many, one].map(figures.cpuPerRequest.of)
      const text = figures.cpuPerRequest.show
      return { measured: `${show.ratio(a, b)} (${text(a)} against ${text(b)})`, reached: a <= EQUAL * b }
    },
  },
  {
    work: 'one record in a request',
    aim: 'CPU time of the broker at most 1/5',
    section: 'kafka-requests',
    obstacle:
      'the engine and the writes to sockets are two fifths of it, the rest many small parts: protocol, timers, promises',
    judge: (find) =>
      against(
        [find(({ connections, inFlight }) => connections === 1 && inFlight === 1)],
        figures.cpuPerRequest,
        1 / 5,
      ),
  },
  {
    work: 'with fsync, 16 KB batches',
    aim: 'throughput at least 10×, at a lower latency',
    section: 'kafka-fsync',
    obstacle: 'the Java tool compiles itself while it is measured, and is the slower one of the two',
    judge(_, cells) {
      const chosen = having(
        cells,
        ({ batch, client, partitions }) => batch === '16 KB' && client !== 'librdkafka' && partitions === 1,
      )
      return every(
        against(chosen, figures.throughput, 10),
        against(chosen, figures.p50, 1),
        against(chosen, figures.p99, 1),
      )
    },
  },
  {
    work: 'with fsync, single records from 64 connections',
    aim: 'at least 60 k/s',
    section: 'kafka-fsync',
    obstacle:
      'a request costs the event loop about 20 µs, whether there is an fsync or not, and the client has its share of the two processors',
    judge(find) {
      const cell = find(({ connections }) => connections === 64)
      const verdict = atMost(
        cell,
        ({ perSecond }) => -perSecond,
        -60_000,
        (value) => show.perSecond(-value),
      )
      return verdict
    },
  },
  {
    work: 'consume with `sendfile`',
    aim: 'CPU time of the broker at most 1/3',
    section: 'kafka-consume',
    obstacle:
      "more than four fifths of it is the kernel's in `sendfile`, a third of that for waking a client that waits for the next 64 KB; both pay it",
    judge: (_, cells) =>
      against(
        having(cells, ({ tls }) => !tls),
        figures.cpu,
        1 / 3,
      ),
  },
  {
    work: 'consume, with `sendfile` or without',
    aim: 'throughput at least 1.5×',
    section: 'kafka-consume',
    obstacle: 'the client and the kernel are the limit on two processors',
    judge: (_, cells) =>
      against(
        having(cells, ({ tls }) => !tls),
        figures.throughput,
        1.5,
      ),
  },
  ...[0.1, 0.5, 0.9].map((share) => ({
    work: `from producer to consumer at ${share * 100} % of what Kafka can`,
    aim: 'p50 and p99 at most 1/2',
    section: 'kafka-end-to-end',
    obstacle:
      'not profiled; broker and client sleep in between, and are woken by the kernel, with Kafka as with varve',
    judge(find) {
      const cells = [find((cell) => cell.share === share)]
      return every(against(cells, figures.p50, 1 / 2), against(cells, figures.p99, 1 / 2))
    },
  })),
  ...[
    [
      'create',
      'createMilliseconds',
      show.milliseconds,
      'a directory and four files for each partition, which the kernel makes one after the other',
    ],
    ['list', 'listMilliseconds', show.milliseconds],
    ['produce to all', 'produceMilliseconds', show.milliseconds],
    ['memory', 'residentBytes', wholeMegabytes],
  ].map(([work, figure, text, obstacle]) => ({
    work: `1,000 topics of 10 partitions: ${work}`,
    aim: 'at most 1/5',
    section: 'kafka-topics',
    obstacle,
    judge: (_, cells) => against(cells, { of: (median) => median[figure], show: text }, 1 / 5),
  })),
  {
    work: 'start',
    aim: 'at most 150 ms',
    section: 'kafka-footprint',
    judge: (_, [cell]) => atMost(cell, ({ readyMilliseconds }) => readyMilliseconds, 150, show.milliseconds),
  },
  {
    work: 'memory without anything to do',
    aim: 'at most 80 MB',
    section: 'kafka-footprint',
    judge: (_, [cell]) => atMost(cell, ({ idleBytes }) => idleBytes, 80e6, wholeMegabytes),
  },
  {
    work: 'memory with 10,000 connections',
    aim: 'at most 300 MB',
    section: 'kafka-footprint',
    judge: (_, [cell]) => atMost(cell, ({ connectedBytes }) => connectedBytes, 300e6, wholeMegabytes),
  },
  {
    work: '`startBroker()` ready and closed',
    aim: 'at most 30 ms',
    section: 'kafka-start-broker',
    judge: (_, [cell]) => atMost(cell, ({ each }) => each, 30, show.milliseconds),
  },
]
