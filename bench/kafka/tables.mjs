/** The tables that several sections have in the same form. */
import * as show from '../report/figures.mjs'
import { comparison } from '../report/table.mjs'

export const subjects = ['varve', 'kafka']

export const throughputTable = (name, title, text, cells) =>
  comparison({
    name,
    title,
    text,
    cells,
    figure: ({ perSecond }) => perSecond,
    show: show.perSecond,
  })

export const cpuTable = (name, title, text, cells) =>
  comparison({
    name,
    title,
    text,
    cells,
    figure: ({ cpuSecondsPerGigabyte }) => cpuSecondsPerGigabyte,
    show: (value) => `${value.toFixed(2)} s/GB`,
    lessIsBetter: true,
  })

/** Of the cells that have latencies: with acks 0, and for librdkafka, there are none. */
export function latencyTable(name, title, text, cells, percentile) {
  const withLatencies = cells.filter(({ subjects }) =>
    Object.values(subjects).some(({ median }) => median?.latencies !== undefined),
  )
  return comparison({
    name,
    title,
    text,
    cells: withLatencies,
    figure: ({ latencies }) => latencies[percentile],
    show: show.microseconds,
    lessIsBetter: true,
  })
}

export const partitionsText = (count) => (count === 1 ? '1 partition' : `${show.count(count)} partitions`)

/** Figures of one cell as rows of their own. */
export const rowsOf = (measured, id, figure) =>
  measured.map(({ subjects }) => ({
    id,
    subjects: Object.fromEntries(
      Object.entries(subjects).map(([subject, { median, error }]) => [
        subject,
        median === undefined ? { error } : { median: { value: figure(median) } },
      ]),
    ),
  }))

/** A table of such rows. */
export const rowsTable = (what) => comparison({ ...what, figure: ({ value }) => value, lessIsBetter: true })

export const wholeMegabytes = (bytes) => `${Math.round(bytes / 1e6)} MB`
