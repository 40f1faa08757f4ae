/**
 * Measures every cell of every section, or of those named: varve and its peers in turn, each measurement in a process and
 * a directory of its own, and the medians of the repetitions. What fails is told, and the run goes on.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../scripts/failure.mjs'
import { Progress } from '../scripts/progress.mjs'
import { apart } from './harness/apart.mjs'
import { Schedule } from './harness/schedule.mjs'
import { medians } from './harness/statistics.mjs'
import { Workplace, machine } from './harness/workplace.mjs'
import { readResults, writeResults } from './report/results.mjs'
import { tableText } from './report/table.mjs'
import { writePage } from './report/page.mjs'
import { sections } from './sections/index.mjs'
import { titles } from './subjects/index.mjs'

const MINUTE = 60_000
/** What the repetitions may take; preparing and reporting take the rest of the ten minutes. */
const DEFAULT_MINUTES = 8.5
const FULL_MINUTES = 90
const SLOWEST = 2 * MINUTE

/**
 * @param {object} options
 * @param {readonly string[]} options.names sections whose names contain one of these; all when empty
 * @param {boolean} options.full
 * @param {boolean} options.quick only looks whether everything works: the figures mean nothing and are kept nowhere
 * @param {ReadonlySet<string>} options.missing subjects that could not be installed
 * @returns {Promise<number>} the exit code: 1 when a cell of varve's failed
 */
export async function measureAll({ names, full, quick, missing }) {
  const chosen = sections.filter(
    ({ name }) => names.length === 0 || names.some((part) => name.includes(part)),
  )
  if (chosen.length === 0) {
    const all = sections.map(({ name }) => name).join(', ')
    throw new Failure(`no benchmark is called ${names.join(' or ')}; there are: ${all}`)
  }
  const wished = quick ? 1 : full ? 5 : 3
  const milliseconds = quick ? 30 : full ? 1000 : 300
  // What ends the process from outside shall leave nothing behind either.
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ])
    process.once(signal, () => process.exit(code))
  const workplace = new Workplace()
  if (workplace.isMemory) {
    throw new Failure(
      'the folder for temporary files is in memory, where nothing is durable: name one on a disk in VARVE_BENCH_DIR',
    )
  }
  const plans = chosen.map((section) => ({
    section,
    cells: section.cells({ full }).map((cell) => ({
      ...cell,
      subjects: cell.subjects.filter((subject) => !missing.has(subject)),
    })),
  }))
  const measurements = plans
    .flatMap(({ cells }) => cells)
    .reduce((sum, { subjects }) => sum + subjects.length * wished, 0)
  const schedule = new Schedule((full ? FULL_MINUTES : DEFAULT_MINUTES) * MINUTE, measurements)
  const setting = {
    date: new Date().toISOString(),
    machine: machine(),
    fileSystem: workplace.fileSystem,
    versions: versions(missing),
    milliseconds,
    full,
  }
  let failures = 0
  for (const { section, cells } of plans) {
    const measured = await measureSection(section, cells, { workplace, schedule, wished, milliseconds })
    failures += measured.filter(({ subjects }) => subjects.varve?.error !== undefined).length
    // What was measured earlier is worth more than nothing.
    if (measured.length === 0) continue
    for (const table of section.tables(measured)) process.stdout.write(`\n${tableText(table)}\n\n`)
    if (!quick) writeResults(section.name, { setting, cells: measured })
  }
  workplace.remove()
  if (!quick) {
    const page = writePage(readResults())
    process.stdout.write(`Written: bench/results and ${page}\n`)
  }
  return failures === 0 ? 0 : 1
}

async function measureSection(section, cells, { workplace, schedule, wished, milliseconds }) {
  const progress = new Progress(`${section.title}: ${cells.length} cells`)
  /** Directories that measurements of several cells share, by subject and data. */
  const prepared = new Map()
  const measured = []
  const leftOut = []
  for (const { id, subjects, parameters } of cells) {
    if (schedule.isOver) {
      leftOut.push(id)
      continue
    }
    const results = Object.fromEntries(subjects.map((subject) => [subject, { runs: [] }]))
    const repetitions = schedule.repetitions(subjects.length, wished)
    for (let repetition = 0; repetition < repetitions; repetition++) {
      // Each starts somewhere else, so that nobody always follows the same one.
      for (let i = 0; i < subjects.length; i++) {
        const subject = subjects[(i + repetition) % subjects.length]
        const result = results[subject]
        if (result.error !== undefined) continue
        progress.detail = `${id}: ${titles[subject] ?? subject}, ${repetition + 1} of ${repetitions}`
        const started = Date.now()
        const call = (phase, dir) =>
          apart(
            { section: section.name, phase, subject, parameters, context: { dir, milliseconds } },
            SLOWEST,
          )
        try {
          result.runs.push(await measureOnce(section, call, { subject, parameters, prepared, workplace }))
        } catch (error) {
          result.error = error.message
          process.stderr.write(`  ${section.name}, ${id}, ${titles[subject] ?? subject}: ${error.message}\n`)
        }
        schedule.took(Date.now() - started)
      }
    }
    for (const result of Object.values(results)) {
      if (result.runs.length > 0) result.median = medians(result.runs)
    }
    measured.push({ id, parameters, subjects: results })
  }
  if (leftOut.length > 0) {
    process.stderr.write(
      `  the time is over, left out: ${leftOut.join('; ')}. To measure them: npm run bench -- ${section.name}\n`,
    )
  }
  for (const dir of prepared.values()) workplace.discard(dir)
  progress.done(`${measured.length} of ${cells.length} cells`)
  return measured
}

async function measureOnce(section, call, { subject, parameters, prepared, workplace }) {
  if (parameters.data === undefined) {
    const dir = workplace.next()
    try {
      return await call('measure', dir)
    } finally {
      workplace.discard(dir)
    }
  }
  const key = `${subject} ${JSON.stringify(parameters.data)}`
  if (!prepared.has(key)) {
    const dir = workplace.next()
    await call('prepare', dir)
    prepared.set(key, dir)
  }
  return call('measure', prepared.get(key))
}

function versions(missing) {
  const { optionalDependencies: installed } = JSON.parse(
    readFileSync(join(import.meta.dirname, 'package.json'), 'utf8'),
  )
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8'))
  const packages = { level: 'classic-level', lmdb: 'lmdb', sqlite: 'better-sqlite3' }
  const peers = Object.entries(packages).filter(([subject]) => !missing.has(subject))
  return { varve: version, ...Object.fromEntries(peers.map(([, name]) => [name, installed[name]])) }
}
