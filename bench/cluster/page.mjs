/** docs/performance-cluster.md: three of varve's brokers beside three of Apache Kafka's. */
import { join } from 'node:path'
import { aims } from './aims.mjs'

const introduction = `Three brokers of varve and the etcd that they share, beside three of Apache Kafka's that are their own controllers (KRaft): the same load on one
cluster after the other, on the same machine, in the same run. This page is generated from the raw results in
[bench/results](../bench/results) by the command that makes them:

\`\`\`sh
npm run bench:cluster                          # the default cells, in about ten minutes
npm run bench:cluster -- --only produce        # what has "produce" in its name
npm run bench:cluster -- --only "native, 1 MB" # cells, named as in the tables
npm run bench:cluster -- --full                # every cell, for hours; started again, it goes on where it ended
npm run bench:cluster -- --quick               # only looks whether each works
VARVE_BENCH_DIR=/mnt/disk npm run bench:cluster
\`\`\`

The first run fetches Kafka and its tools with Maven, kcat and etcd with apt-get, and compiles the native client; it needs Linux and Java 17.
What is missing is left out, but for etcd. One broker beside one: [performance.md](performance.md), where the clients are described as well.

## How it is measured

- **One machine.** All brokers, the etcd and the client share its processors, its page cache and its disk, over loopback. That is no
  cluster anybody would run: figures say what the work costs, and where one waits for another, not what three machines can do.
- **The same promise.** Both acknowledge from the page caches of the replicas in sync. Kafka has the heap (1 GB a broker) and the collector of its
  start script. The etcd has one member and its default settings, and writes through to its disk.
- **One at a time.** The cluster that is not measured stands still (SIGSTOP), and the disk has written what it was given before. For that, both
  have sessions of an hour; where a broker is killed, a cluster of its own with both defaults, nine seconds. Repetitions change places, figures
  are their medians, ratios are between medians of one run.
- **Warm.** When they have started, both have seconds of load before anything is measured, and each measurement a third of its time.
- **Checked.** After each measurement all records must be committed, on all replicas; a cell where one is missing fails.
- **CPU time** is user and system time of all threads of the three brokers together, from \`/proc/PID/stat\`, until all replicas in sync have what
  was sent. That of the etcd is told by itself.`

/** @type {import('../report/page.mjs').Page} */
export const clusterPage = {
  path: join('docs', 'performance-cluster.md'),
  title: 'Performance of a cluster',
  introduction,
  aims,
  lossesAre: 'Every cell in which Kafka is ahead of varve.',
}
