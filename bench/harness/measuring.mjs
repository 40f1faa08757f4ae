/** Measures the cells of a section: each subject in turn, several times, and the medians. What fails is told, and the rest goes on. */
import { Progress } from '../../scripts/progress.mjs'
import { titles } from '../subjects/index.mjs'
import { medians } from './statistics.mjs'

/**
 * @param {{ name: string, title: string }} section
 * @param {readonly import('../sections/index.mjs').Cell[]} cells
 * @param {object} how
 * @param {import('./schedule.mjs').Schedule} how.schedule
 * @param {number} how.wished repetitions, if there is time
 * @param {string} how.command measures sections that are named behind it
 * @param {(cell: any, subject: string) => Promise<any>} how.measure resolves with figures
 * @param {(cell: any) => void} [how.finished] called with each cell that is measured, as it will be returned
 * @returns {Promise<any[]>} the cells that there was time for, each with runs and medians of its subjects
 */
export async function measureCells(section, cells, { schedule, wished, command, measure, finished }) {
  const progress = new Progress(`${section.title}: ${cells.length} ${cells.length === 1 ? 'cell' : 'cells'}`)
  const measured = []
  const leftOut = []
  for (const cell of cells) {
    const { id, subjects, parameters } = cell
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
        progress.detail = `${id}: ${titles[subject] ?? subject}, ${repetition + 1} of ${repetitions}${timeLeft(schedule)}`
        const started = Date.now()
        try {
          result.runs.push(await measure(cell, subject))
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
    finished?.(measured.at(-1))
  }
  if (leftOut.length > 0) {
    process.stderr.write(
      `  the time is over, left out: ${leftOut.join('; ')}. To measure them: ${command} -- ${section.name}\n`,
    )
  }
  progress.done(`${measured.length} of ${cells.length} cells`)
  return measured
}

function timeLeft({ left }) {
  if (left === undefined) return ''
  const minutes = left / 60_000
  return minutes < 1.5 ? '; about a minute left' : `; about ${Math.round(minutes)} minutes left`
}
