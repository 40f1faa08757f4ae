/** docs/benchmarks.md, made of nothing but the raw results. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { judged } from './aims.mjs'
import { svg } from './chart.mjs'
import { losses } from './losses.mjs'
import { resultsFolder } from './results.mjs'
import { markdown } from './table.mjs'
import { titles } from '../subjects/index.mjs'

const page = join('docs', 'benchmarks.md')
const root = join(import.meta.dirname, '..', '..')

const INTRODUCTION = `varve beside what a Node developer would take instead, and beside the bare system calls. This page is generated from the
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

/** Writes the page and its charts; returns its path from the root. */
export function writePage(results) {
  const parts = results.map(({ section, setting, cells }) => {
    const tables = section.tables(cells).map((table) => tableWithChart(table))
    return [
      `## ${section.title}`,
      ...tables,
      ...failuresIn(cells),
      `Raw: [${section.name}.json](../bench/results/${section.name}.json), ${madeOn(setting)}.`,
    ]
  })
  const all = [
    '# Benchmarks',
    INTRODUCTION,
    ...settingOf(results),
    ...aimsOf(results),
    ...lossesOf(results),
    ...parts.flat(),
  ]
  mkdirSync(dirname(join(root, page)), { recursive: true })
  writeFileSync(join(root, page), `${all.join('\n\n')}\n`)
  return page
}

const madeOn = ({ date, milliseconds }) =>
  `measured ${date.slice(0, 16).replace('T', ' ')} UTC, ${milliseconds} ms a measurement`

/** A figure that is missing must not look like one that nobody wanted. */
function failuresIn(cells) {
  const failures = cells.flatMap(({ id, subjects }) =>
    Object.entries(subjects)
      .filter(([, { error }]) => error !== undefined)
      .map(([subject, { error }]) => `- ${id}, ${titles[subject]}: ${error}`),
  )
  return failures.length === 0 ? [] : ['What could not be measured:', failures.join('\n')]
}

function settingOf(results) {
  if (results.length === 0) return []
  const settings = new Set(
    results.map(({ setting: { machine, fileSystem, versions } }) => {
      const named = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
      return `${machine}, ${fileSystem}; ${named.join(', ')}`
    }),
  )
  return ['## Set-up', [...settings].map((setting) => `- ${setting}`).join('\n')]
}

function aimsOf(results) {
  const rows = judged(results)
    .filter(({ verdict }) => verdict !== null)
    .map(({ work, aim, obstacle = '', verdict: { measured, reached } }) => [
      work,
      aim,
      measured,
      reached ? 'reached' : `**not reached**${obstacle && `: ${obstacle}`}`,
    ])
  if (rows.length === 0) return []
  return ['## Aims', markdown({ header: ['work', 'aim', 'measured', ''], rows })]
}

function lossesOf(results) {
  const found = losses(results)
  if (found.length === 0) return []
  const rows = found.map(({ table, cell, rival, ratio }) => [table, cell, rival, ratio])
  return [
    '## Where we lose',
    'Every cell in which a store, or a log written by hand over `fs`, is ahead of varve.',
    markdown({ header: ['table', 'cell', 'ahead', 'varve ÷ it'], rows }),
  ]
}

function tableWithChart(table) {
  const parts = [`### ${table.title}`, table.text, markdown(table)]
  if (table.chart !== undefined) {
    writeFileSync(join(resultsFolder, `${table.name}.svg`), svg(table.title, table.chart))
    parts.push(`![${table.title}](../bench/results/${table.name}.svg)`)
  }
  return parts.join('\n\n')
}
