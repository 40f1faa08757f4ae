/** Verdicts on varve beside Kafka, by the medians of both. */
import * as show from '../report/figures.mjs'

/** What counts as equal: repetitions of one cell differ by as much. */
export const EQUAL = 1.25

export const medianOf = (cell, subject) => cell?.subjects[subject]?.median

const perGigabyte = (value) => `${value.toFixed(2)} s/GB`

export const figures = {
  throughput: { of: ({ perSecond }) => perSecond, show: show.perSecond, moreIsBetter: true },
  cpu: { of: ({ cpuSecondsPerGigabyte }) => cpuSecondsPerGigabyte, show: perGigabyte },
  cpuPerRequest: { of: ({ cpuMicrosecondsPerBatch }) => cpuMicrosecondsPerBatch, show: show.microseconds },
  p50: { of: ({ latencies }) => latencies?.p50, show: show.microseconds },
  p99: { of: ({ latencies }) => latencies?.p99, show: show.microseconds },
}

/** The ratio of varve to Kafka in each cell that has both. */
function ratios(cells, { of, show: text }) {
  return cells.flatMap((cell) => {
    const [ours, theirs] = ['varve', 'kafka'].map((subject) => {
      const median = medianOf(cell, subject)
      return median === undefined ? undefined : of(median)
    })
    if (ours === undefined || theirs === undefined) return []
    const ratio = ours / theirs
    return [
      { id: cell.id, ratio, text: `${show.ratio(ours, theirs)} (${text(ours)} against ${text(theirs)})` },
    ]
  })
}

/** Whether varve's figure is `limit` times Kafka's or better in all of these cells. */
export function against(cells, figure, limit) {
  const found = ratios(cells, figure)
  if (found.length === 0) return null
  const isWorse = (a, b) => (figure.moreIsBetter ? a.ratio < b.ratio : a.ratio > b.ratio)
  const worst = found.reduce((worst, one) => (isWorse(one, worst) ? one : worst))
  const isThere = ({ ratio }) => (figure.moreIsBetter ? ratio >= limit : ratio <= limit)
  const reached = isThere(worst)
  if (found.length === 1) return { measured: worst.text, reached }
  const there = found.filter(isThere).length
  return { measured: `${there} of ${found.length} cells; the worst: ${worst.id}: ${worst.text}`, reached }
}

/** All of several verdicts, or null where one is missing. */
export function every(...verdicts) {
  if (verdicts.some((verdict) => verdict === null)) return null
  return {
    measured: verdicts.map(({ measured }) => measured).join('; '),
    reached: verdicts.every(({ reached }) => reached),
  }
}

/** A figure of varve's alone, beside Kafka's for comparison. */
export function atMost(cell, figure, most, text) {
  const [ours, theirs] = ['varve', 'kafka'].map((subject) => {
    const median = medianOf(cell, subject)
    return median === undefined ? undefined : figure(median)
  })
  if (ours === undefined) return null
  const beside = theirs === undefined ? '' : ` (Kafka: ${text(theirs)})`
  return { measured: `${text(ours)}${beside}`, reached: ours <= most }
}

export const having = (cells, fits) => cells.filter(({ parameters }) => fits(parameters))
