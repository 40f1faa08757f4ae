/** Tables: what a section makes of its cells, as Markdown whose columns line up as plain text too. */
import { byHand, stores, titles } from '../subjects/index.mjs'
import { ratio } from './figures.mjs'

/**
 * @typedef {object} Table
 * @property {string} name names its chart
 * @property {string} title
 * @property {string} text what was done, and what is compared with what
 * @property {readonly string[]} header
 * @property {readonly (readonly string[])[]} rows
 * @property {import('./chart.mjs').Chart} [chart]
 */

export function markdown({ header, rows }) {
  const widths = header.map((title, column) =>
    Math.max(3, title.length, ...rows.map((row) => row[column].length)),
  )
  const line = (cells) => `| ${cells.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`
  return [line(header), rule, ...rows.map(line)].join('\n')
}

export const tableText = (table) => `${table.title}\n${table.text}\n\n${markdown(table)}`

/** The best that some subjects have in a cell, and who it was; `figure` takes a number out of a measurement. */
export function best({ subjects }, among, figure, isBetter = (a, b) => a > b) {
  let found
  for (const subject of among) {
    const measured = subjects[subject]?.median
    if (measured === undefined) continue
    const value = figure(measured)
    if (found === undefined || isBetter(value, found.value)) found = { subject, value }
  }
  return found
}

/**
 * A table with a row for each cell, a column for each subject, and varve's ratios to Kafka, to the best store, to the best
 * that was written by hand, and to the ceiling: to those that are there.
 *
 * @param {object} what
 * @param {(measured: any) => number} what.figure
 * @param {(value: number) => string} what.show
 * @param {boolean} [what.lessIsBetter] ratios then say how much longer varve takes
 * @returns {Table}
 */
export function comparison({ name, title, text, cells, figure, show, lessIsBetter = false }) {
  const subjects = Object.keys(titles).filter((subject) => cells.some((cell) => subject in cell.subjects))
  const isBetter = lessIsBetter ? (a, b) => a < b : (a, b) => a > b
  const references = [
    ['Kafka', ['kafka']],
    ['best store', stores],
    ['fs', byHand],
    ['ceiling', ['ceiling']],
  ].filter(([, among]) => among.some((subject) => subjects.includes(subject)))
  const valueOf = (cell, subject) => {
    const measured = cell.subjects[subject]?.median
    return measured === undefined ? undefined : figure(measured)
  }
  return {
    name,
    title,
    text,
    header: [
      '',
      ...subjects.map((subject) => titles[subject]),
      ...references.map(([what]) => `varve ÷ ${what}`),
    ],
    rows: cells.map((cell) => [
      cell.id,
      ...subjects.map((subject) => shown(cell.subjects[subject], figure, show)),
      ...references.map(([, among]) =>
        ratio(valueOf(cell, 'varve'), best(cell, among, figure, isBetter)?.value),
      ),
    ]),
    chart: {
      lessIsBetter,
      groups: cells.map((cell) => ({
        title: cell.id,
        bars: subjects
          .map((subject) => ({
            title: titles[subject],
            value: valueOf(cell, subject),
            isOurs: subject === 'varve',
          }))
          .filter(({ value }) => value !== undefined)
          .map((bar) => ({ ...bar, text: show(bar.value) })),
      })),
    },
  }
}

function shown(result, figure, show) {
  if (result === undefined) return ''
  return result.median === undefined ? 'failed' : show(figure(result.median))
}

/** A cell in which varve was measured alone, beside what its peers did in another one. */
export function withPeersOf(cell, other) {
  return { ...cell, subjects: { ...other?.subjects, ...cell.subjects } }
}
