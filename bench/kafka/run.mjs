/**
 * Measures every cell of every section, or of those named, beside Apache Kafka: the same load on one broker after the
 * other, and the medians of the repetitions. What fails is told, and the run goes on.
 */
import { KAFKA_TOOLS } from '../../scripts/conformance-versions.mjs'
import { Failure } from '../../scripts/failure.mjs'
import { KAFKA } from '../../scripts/kafka-broker.mjs'
import { measureCells } from '../harness/measuring.mjs'
import { Schedule } from '../harness/schedule.mjs'
import { Workplace, machine, varveVersion } from '../harness/workplace.mjs'
import { writePage } from '../report/page.mjs'
import { readResults, writeResults } from '../report/results.mjs'
import { tableText } from '../report/table.mjs'
import { FinishedCells } from './finished-cells.mjs'
import { Pair } from './pair.mjs'
import { profileText, profiling } from './profile.mjs'

const MINUTE = 60_000
/**
 * @typedef {object} Suite
 * @property {string} command measures it
 * @property {readonly any[]} sections
 * @property {import('../report/page.mjs').Page} page
 * @property {{ usual: number, full: number }} minutes what the repetitions may take
 * @property {string} finishedFile keeps what a full run has measured
 * @property {(subject: string, dir: string, how: { stands: boolean, nodeOptions: readonly string[] }) => Promise<any>} begin
 *   see {@link Pair}
 * @property {(broker: any, seconds: number) => Promise<void>} warmUp
 */

/** Cells that these words select: parts of "produce: native, 16 KB batches, acks all, …". All when there are none. */
export function selected(sections, names, { full = false } = {}) {
  return sections
    .map((section) => ({
      section,
      cells: section.cells({ full }).filter(({ id }) => {
        const cell = `${section.name}: ${id}`
        return names.length === 0 || names.some((part) => cell.includes(part))
      }),
    }))
    .filter(({ cells }) => cells.length > 0)
}

/**
 * @param {Suite} suite
 * @param {object} options
 * @param {readonly string[]} options.names
 * @param {boolean} options.full every cell, with longer measurements; goes on where an earlier such run ended
 * @param {boolean} options.quick only looks whether everything works: the figures mean nothing and are kept nowhere
 * @param {boolean} options.profile tells where varve spends its time; there are no figures either
 * @param {ReadonlySet<string>} options.missing subjects and clients that could not be installed
 * @returns {Promise<number>} the exit code: 1 when a cell of varve's failed
 */
export async function measureBesideKafka(
  { command, sections, page, minutes, finishedFile, begin, warmUp },
  { names, full, quick, profile, missing: notInstalled },
) {
  const plans = selected(sections, names, { full })
  if (plans.length === 0) {
    const all = sections.map(({ name }) => name).join(', ')
    throw new Failure(`no benchmark is called ${names.join(' or ')}; there are: ${all}`)
  }
  const missing = profile ? new Set([...notInstalled, 'kafka']) : notInstalled
  const isKept = !quick && !profile
  const wished = isKept ? (full ? 5 : 3) : 1
  const milliseconds = quick ? 30 : full ? 4000 : 1000
  const workplace = Workplace.onDisk()
  const finished = full && isKept ? FinishedCells.open(finishedFile) : undefined
  const left = plans.map(({ section, cells }) => ({
    section,
    wished: Math.min(wished, section.mostRepetitions?.[full ? 'full' : 'usual'] ?? wished),
    cells: cells
      .filter(({ parameters: { client } }) => !missing.has(client))
      .filter(({ id }) => !finished?.has(section.name, id))
      .map((cell) => ({ ...cell, subjects: cell.subjects.filter((subject) => !missing.has(subject)) })),
  }))
  const measurements = left
    .flatMap(({ cells, wished }) => cells.map(({ subjects }) => subjects.length * wished))
    .reduce((sum, count) => sum + count, 0)
  const schedule = new Schedule((full ? minutes.full : minutes.usual) * MINUTE, measurements)
  const profiles = workplace.next()
  const nodeOptions = profile ? profiling(profiles) : []
  const pair = new Pair({
    workplace,
    begin: (subject, dir, how) => begin(subject, dir, { ...how, nodeOptions }),
    warmUp,
    subjects: ['varve', 'kafka'].filter((subject) => !missing.has(subject)),
    warmUpSeconds: quick ? 0.1 : full ? 15 : 5,
  })
  const setting = {
    date: new Date().toISOString(),
    machine: machine(),
    fileSystem: workplace.fileSystem,
    versions: { varve: varveVersion(), 'Apache Kafka': KAFKA, "Kafka's tools": KAFKA_TOOLS },
    milliseconds,
    full,
  }
  let failures = 0
  for (const { section, cells, wished } of left) {
    const measured = await measureCells(section, cells, {
      schedule,
      wished,
      command,
      measure: ({ parameters }, subject) =>
        section.measure(parameters, { pair, subject, milliseconds, quick, full, workplace }),
      finished(cell) {
        const failed = Object.values(cell.subjects).some(({ error }) => error !== undefined)
        if (!failed) finished?.add(section.name, cell)
      },
    })
    await pair.forget()
    failures += measured.filter(({ subjects }) => subjects.varve?.error !== undefined).length
    const all = inOrder(section, [...measured, ...(finished?.of(section.name) ?? [])])
    if (all.length === 0) continue
    for (const table of section.tables(all)) process.stdout.write(`\n${tableText(table)}\n\n`)
    if (!isKept) continue
    // What an earlier run measured of cells that this one left out is worth more than nothing.
    const [earlier] = readResults([section])
    writeResults(section.name, { setting, cells: inOrder(section, [...all, ...(earlier?.cells ?? [])]) })
  }
  await pair.stop()
  if (profile) process.stdout.write(`varve: ${profileText(profiles)}\n`)
  workplace.remove()
  if (isKept) {
    process.stdout.write(`Written: bench/results and ${writePage(page, readResults(sections))}\n`)
  }
  if (!schedule.isOver) finished?.end()
  return failures === 0 ? 0 : 1
}

/** The cells that the section has, in its order; of several measurements of a cell the first. */
function inOrder(section, measured) {
  return section
    .cells({ full: true })
    .map(({ id }) => measured.find((cell) => cell.id === id))
    .filter((cell) => cell !== undefined)
}
