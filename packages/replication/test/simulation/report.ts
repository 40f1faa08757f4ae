import type { Scenario } from './scenario.js'
import type { SimulationResult } from './simulation.js'
import type { EntryKind, TimelineEntry } from './timeline.js'

/** Which entries of a timeline are shown. */
export interface Selection {
  /** Those of this partition, and what happens to brokers and to everything. */
  readonly partition?: string
  /** Those of this broker, and those that name it. */
  readonly broker?: number
  readonly only?: readonly EntryKind[]
}

/** Colours a text by what it is; as it is where there are no colours. */
export type Paint = (kind: EntryKind | 'title', text: string) => string

export const plain: Paint = (_, text) => text

export function concerns(entry: TimelineEntry, { partition, broker, only }: Selection): boolean {
  if (entry.kind === 'violation') return true
  if (only !== undefined && !only.includes(entry.kind)) return false
  if (partition !== undefined && entry.partition !== partition && !concernsAll(entry, partition)) return false
  if (broker === undefined || entry.who === `broker ${broker}`) return true
  return new RegExp(`\\bbroker ${broker}\\b`).test(entry.text)
}

function concernsAll({ partition, kind, text }: TimelineEntry, wanted: string): boolean {
  if (partition !== null) return false
  if (kind === 'faults' || kind === 'brokers') return true
  if (kind === 'controller' && text.startsWith('is the controller')) return true
  return text.includes(wanted.slice(0, wanted.lastIndexOf('-')))
}

const kindsIn = (kinds: readonly string[]): string => (kinds.length === 0 ? 'none' : kinds.join(', '))
const many = (count: number, noun: string): string => `${number(count)} ${noun}${count === 1 ? '' : 's'}`
const number = (value: number): string => value.toLocaleString('en-US')
const seconds = (ms: number): string => `${number(Math.round(ms) / 1000)} s`

/** What a seed drew, in words. */
export function scenarioLines(seed: number, scenario: Scenario, paint: Paint): string[] {
  const { topics, faults, operations } = scenario
  const rows: [string, string][] = [
    [
      'brokers',
      `${scenario.brokers} in ${many(scenario.racks, 'rack')}, leases of ${scenario.leaseTtlSeconds} s`,
    ],
    [
      'durability',
      `'${scenario.durability}', replica.lag.time.max.ms ${number(scenario.replicaLagTimeMaxMs)}`,
    ],
    ...topics.map(({ partitions, replicationFactor, minInsyncReplicas }, index): [string, string] => [
      index === 0 ? 'topics' : '',
      `${many(partitions, 'partition')} of ${many(replicationFactor, 'replica')}, min.insync.replicas ${minInsyncReplicas}`,
    ]),
    ['clients', `${many(scenario.producers, 'producer')}, ${many(scenario.consumers, 'consumer')}`],
    [
      'faults',
      `for ${seconds(scenario.faultsMs)}, one every ${number(scenario.meanFaultMs)} ms or so: ${kindsIn(faults)}`,
    ],
    ['operations', `one every ${number(scenario.meanOperationMs)} ms or so: ${kindsIn(operations)}`],
  ]
  return [paint('title', `Seed ${seed}`), ...rows.map(([name, text]) => `  ${name.padEnd(11)} ${text}`)]
}

/** The entries one below the other: seconds, who, which partition, what. */
export function entryLines(entries: readonly TimelineEntry[], paint: Paint): string[] {
  const whoWidth = Math.max(0, ...entries.map(({ who }) => who.length))
  const partitionWidth = Math.max(0, ...entries.map(({ partition }) => partition?.length ?? 0))
  return entries.map(({ at, who, partition, kind, text }) => {
    const time = (at / 1000).toFixed(3).padStart(7)
    const where = (partition ?? '').padEnd(partitionWidth)
    return `${time}  ${paint(kind, `${who.padEnd(whoWidth)}  ${where}  ${text}`)}`
  })
}

/** How a run ended. */
export function verdictLines(result: SimulationResult, paint: Paint): string[] {
  const { violation, recoveryMs, acknowledged, committed, virtualMs, events, beyond, givenUp } = result
  const rows: [string, string][] = [
    ['run', `${seconds(virtualMs)} of virtual time, ${many(events, 'event')}`],
    ['records', `${number(acknowledged)} batches acknowledged, ${many(committed, 'record')} committed`],
  ]
  if (recoveryMs !== null) rows.push(['recovery', `${seconds(recoveryMs)} after the last fault`])
  if (givenUp.length > 0)
    rows.push(['unclean', `an unclean election gave up records of ${givenUp.join(', ')}`])
  if (beyond.length > 0)
    rows.push(['excused', `more was lost than the protocol promises to survive: ${beyond.join(', ')}`])
  const title =
    violation === null
      ? paint('title', 'Everything held, and the cluster recovered')
      : paint('violation', `VIOLATION  ${violation.message}`)
  return [title, ...rows.map(([name, text]) => `  ${name.padEnd(11)} ${text}`)]
}
