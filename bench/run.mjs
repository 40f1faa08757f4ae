/**
 * Measures every cell of every section, or of those named: varve and its peers in turn, each measurement in a process and
 * a directory of its own, and the medians of the repetitions. What fails is told, and the run goes on.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Failure } from '../scripts/failure.mjs'
import { apart } from './harness/apart.mjs'
import { measureCells } from './harness/measuring.mjs'
import { Schedule } from './harness/schedule.mjs'
import { Workplace, machine, varveVersion } from './harness/workplace.mjs'
import { benchmarks } from './report/benchmarks.mjs'
import { readResults, writeResults } from './report/results.mjs'
import { tableText } from './report/table.mjs'
import { writePage } from './report/page.mjs'
import { sections } from './sections/index.mjs'

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
  const workplace = Workplace.onDisk()
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
    /** Directories that measurements of several cells share, by subject and data. */
    const prepared = new Map()
    const measured = await measureCells(section, cells, {
      schedule,
      wished,
      command: 'npm run bench',
      measure({ parameters }, subject) {
        const call = (phase, dir) =>
          apart(
            { section: section.name, phase, subject, parameters, context: { dir, milliseconds } },
            SLOWEST,
          )
        return measureOnce(call, { subject, parameters, prepared, workplace })
      },
    })
    for (const dir of prepared.values()) workplace.discard(dir)
    failures += measured.filter(({ subjects }) => subjects.varve?.error !== undefined).length
    // What was measured earlier is worth more than nothing.
    if (measured.length === 0) continue
    for (const table of section.tables(measured)) process.stdout.write(`\n${tableText(table)}\n\n`)
    if (!quick) writeResults(section.name, { setting, cells: measured })
  }
  workplace.remove()
  if (!quick) {
    const page = writePage(benchmarks, readResults(sections))
    process.stdout.write(`Written: bench/results and ${page}\n`)
  }
  return failures === 0 ? 0 : 1
}

async function measureOnce(call, { subject, parameters, prepared, workplace }) {
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
  const packages = { level: 'classic-level', lmdb: 'lmdb', sqlite: 'better-sqlite3' }
  const peers = Object.entries(packages).filter(([subject]) => !missing.has(subject))
  return { varve: varveVersion(), ...Object.fromEntries(peers.map(([, name]) => [name, installed[name]])) }
}
