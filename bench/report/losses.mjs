/** Where a peer is ahead of varve, found in the charts' figures: what is said of strengths needs this beside it. */
import { titles } from '../subjects/index.mjs'
import { ratio } from './figures.mjs'

const RIVALS = ['kafka', 'level', 'lmdb', 'sqlite', 'fs-async', 'fs-sync'].map((subject) => titles[subject])
/** Nearer than this is a tie: repetitions differ by as much. */
const TIE = 1.05

/** @param {readonly { section: { tables: Function }, cells: readonly any[] }[]} results */
export function losses(results) {
  return results
    .flatMap(({ section, cells }) => section.tables(cells))
    .flatMap(({ title, chart }) =>
      (chart?.groups ?? []).flatMap((group) => lossIn(title, group, chart.lessIsBetter)),
    )
}

function lossIn(table, { title, bars }, lessIsBetter = false) {
  const ours = bars.find(({ title: who }) => who === titles.varve)
  const rivals = bars.filter(({ title: who }) => RIVALS.includes(who))
  if (ours === undefined || rivals.length === 0) return []
  const score = lessIsBetter ? ({ value }) => 1 / value : ({ value }) => value
  const ahead = rivals.reduce((best, one) => (score(one) > score(best) ? one : best))
  if (score(ahead) < TIE * score(ours)) return []
  return [
    {
      table,
      cell: title,
      rival: `${ahead.title} (${ahead.text} against ${ours.text})`,
      ratio: ratio(ours.value, ahead.value),
    },
  ]
}
