/** What the simulator's bundle gives to those who run it. */
export { simulate, scenarioOf, type SimulateOptions, type SimulationResult } from './simulation.js'
export { faultKinds, operationKinds, type Scenario } from './scenario.js'
export { entryKinds, type EntryKind, type TimelineEntry } from './timeline.js'
export { changesOf, commandOf, shorten, type Changes, type Omitted } from './shortening.js'
export { failureLines } from './failure.js'
export {
  concerns,
  entryLines,
  plain,
  scenarioLines,
  verdictLines,
  type Paint,
  type Selection,
} from './report.js'
