/** docs/performance.md: varve beside Apache Kafka. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { aims } from './aims.mjs'

const introduction = `varve beside Apache Kafka: the same load on one broker after the other, on the same machine, in the same run. This page is
generated from the raw results in [bench/results](../bench/results) by the command that makes them:

\`\`\`sh
npm run bench:kafka                       # the default cells, in less than ten minutes
npm run bench:kafka -- produce            # what has "produce" in its name
npm run bench:kafka -- "native, 1 MB"     # cells, named as in the tables
npm run bench:kafka -- --full             # every cell, for hours; started again, it goes on where it ended
npm run bench:kafka -- --quick            # only looks whether each works
npm run bench:kafka -- --profile produce  # no figures: where varve's event loop spends its time meanwhile
VARVE_BENCH_DIR=/mnt/disk npm run bench:kafka
\`\`\`

The first run fetches Kafka and its tools with Maven, and kcat with apt-get, and compiles the native client; it needs Linux and Java 17.
What is missing is left out.

## How it is measured

- **The same promise.** Both acknowledge from the page cache, Kafka as it comes and varve with \`--durability os\`. With fsync, both
  have topics with \`flush.messages=1\`. Kafka has the heap and the collector of its start script.
- **One at a time.** Both run in a process of their own; the one that is not measured stands still (SIGSTOP), and the disk has written what it
  was given before. Repetitions change places, figures are their medians, ratios are between medians of one run.
- **Warm.** When they have started, both have seconds of load before anything is measured, and each measurement a third of its time.
  Kafka's code is compiled while it runs.
- **Checked.** After each measurement the brokers are asked how many records there are, and consumers count what they read; a cell where
  one is missing fails.
- **CPU time** is user and system time of all threads of the broker, from \`/proc/PID/stat\`. The clients share the machine with the
  broker: throughput says more about both, CPU time about the broker alone.
- **Clients.** *Native* is \`native/load\`, a program in Rust that builds whole requests beforehand and sends them over bare sockets: it
  costs so little that the broker is the limit. *librdkafka* is the one in kcat, *Java* are Kafka's own performance tools.`

/** @type {import('../report/page.mjs').Page} */
export const performancePage = {
  path: join('docs', 'performance.md'),
  title: 'Performance',
  introduction,
  aims,
  remarks: [readFileSync(join(import.meta.dirname, 'profiles.md'), 'utf8').trim()],
  lossesAre: 'Every cell in which Kafka is ahead of varve.',
}
