/** docs/benchmarks.md: varve beside what a Node developer would take instead. */
import { join } from 'node:path'
import { aims } from './aims.mjs'

const introduction = `varve beside what a Node developer would take instead, and beside the bare system calls. This page is generated from the
raw results in [bench/results](../bench/results) by the command that makes them:

\`\`\`sh
npm run bench                # every section, about ten minutes on a quiet machine
npm run bench -- append      # the sections whose names contain "append"
npm run bench -- --full      # more sizes and more repetitions, an hour and more
VARVE_BENCH_DIR=/mnt/disk npm run bench   # on another disk
\`\`\`

The first run installs the peers and compiles the bare system calls, in \`bench/\` alone.

## How it is measured

- **Same promise beside same promise.** "Durable" is acknowledged after an fdatasync that covers it, "page cache" after the kernel has
  it. Each table says what each does for that.
- **In turn.** A repetition measures varve, then each of its peers, each in a new process and a new directory, starting with another one
  each time. Figures are medians of the repetitions; ratios are between medians of one run.
- **Checked.** A process warms up first; what it wrote then is read back, counted and compared with a checksum. After the measurement all
  acknowledged records must be there.
- **In flight** is a number of callers that each await their own append before the next. Where an API is synchronous or takes groups, a
  group of as many, one group after the other.
- **Values are random bytes**, so that no store gains by compressing them. Stores run as they come, save for what the tables say.
- **ceiling** is a C++ loop over \`pwritev\`, \`fdatasync\`, \`preadv\` and \`sendfile\` that does nothing else. **fs** is a log as a careful
  programmer writes it by hand: length fields and one write for each group, no offsets, checksums, indexes or recovery.
- **Latencies** are kept in HDR histograms of three digits.`

/** @type {import('./page.mjs').Page} */
export const benchmarks = {
  path: join('docs', 'benchmarks.md'),
  title: 'Benchmarks',
  introduction,
  aims,
  lossesAre: 'Every cell in which a store, or a log written by hand over `fs`, is ahead of varve.',
}
