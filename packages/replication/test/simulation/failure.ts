import { concerns, entryLines, plain, type Paint } from './report.js'
import { changesOf, commandOf, shorten, type Changes } from './shortening.js'
import { simulate } from './simulation.js'

/** What a seed that fails shows: the command of a shorter run that breaks the same, and its last events that concern the partition. */
export function failureLines(seed: number, given: Changes = {}, paint: Paint = plain, last = 40): string[] {
  const shortened = shorten(seed, given)
  if (shortened === null) return [`${commandOf(seed, given)} breaks nothing`]
  const { changes } = shortened
  const { violation, violated, timeline } = simulate(seed, {
    scenario: changesOf(seed, changes),
    record: true,
  })
  const selection = violated === null ? {} : { partition: violated }
  const entries = timeline.filter((entry) => concerns(entry, selection))
  return [
    `${commandOf(seed, changes)}   breaks the same:`,
    paint('violation', violation!.message),
    ...entryLines(entries.slice(-last), paint),
  ]
}
