import type { HistoryEvent } from './event.js'
import type { Finding, Rule, RuleName } from './finding.js'
import { History } from './history.js'
import { commits } from './rules/commits.js'
import { generations } from './rules/generations.js'
import { offsets } from './rules/offsets.js'
import { order } from './rules/order.js'
import { polls } from './rules/polls.js'
import { presence } from './rules/presence.js'
import { values } from './rules/values.js'
import { tell } from './telling.js'

const rules: readonly Rule[] = [presence, values, offsets, order, polls, commits, generations]

export interface Counts {
  readonly events: number
  readonly clients: number
  readonly crashes: number
  readonly acknowledged: number
  readonly failed: number
  readonly unknown: number
  /** Records that polls returned. */
  readonly read: number
  readonly commits: number
  /** Partitions that somebody read from the start to the end at last; of others no loss can be told. */
  readonly finallyRead: number
  readonly partitions: number
}

/** What is to be said of a history. */
export class Report {
  readonly #history: History
  /** What must not be, in the order of time. */
  readonly anomalies: readonly Finding[]
  /** What is lost or there twice, and nobody was promised otherwise. */
  readonly tolerated: readonly Finding[]
  readonly counts: Counts

  constructor(history: History, findings: readonly Finding[]) {
    this.#history = history
    const inTime = [...findings].sort((a, b) => lastOf(a) - lastOf(b))
    this.anomalies = inTime.filter(({ toleratedBecause }) => toleratedBecause === undefined)
    this.tolerated = inTime.filter(({ toleratedBecause }) => toleratedBecause !== undefined)
    this.counts = count(history)
  }

  /** For a person: of each kind the first few in full, of all how many there are. */
  toString(each = 3): string {
    const { counts } = this
    const lines = [
      `${counts.events} events of ${counts.clients} clients, ${counts.crashes} of which crashed`,
      `${counts.acknowledged} writes acknowledged, ${counts.failed} failed, ${counts.unknown} unknown; ${counts.read} records read, ${counts.commits} commits`,
      `${counts.finallyRead} of ${counts.partitions} partitions were read to the end${counts.finallyRead < counts.partitions ? '; of the others no loss can be told' : ''}`,
    ]
    for (const [rule, findings] of byRule(this.tolerated))
      lines.push(`tolerated: ${rule} × ${findings.length} (${findings[0]!.toleratedBecause})`)
    for (const [rule, findings] of byRule(this.anomalies)) {
      lines.push('', `${rule} × ${findings.length}`)
      for (const finding of findings.slice(0, each)) lines.push(tell(finding, this.#history))
      if (findings.length > each) lines.push(`and ${findings.length - each} more`)
    }
    if (this.anomalies.length === 0) lines.push('no anomaly')
    return lines.join('\n')
  }
}

/** Judges a history. Throws a HistoryError if it is none. */
export function check(events: readonly HistoryEvent[], without: readonly RuleName[] = []): Report {
  const history = new History(events)
  const findings = rules.flatMap((rule) => [...rule(history)])
  return new Report(
    history,
    findings.filter(({ rule }) => !without.includes(rule)),
  )
}

function lastOf({ evidence }: Finding): number {
  return evidence.reduce((last, { time }) => Math.max(last, time), 0)
}

function byRule(findings: readonly Finding[]): Map<RuleName, Finding[]> {
  const all = new Map<RuleName, Finding[]>()
  for (const finding of findings) {
    if (!all.has(finding.rule)) all.set(finding.rule, [])
    all.get(finding.rule)!.push(finding)
  }
  return all
}

function count({ events, clients, writes, commits, partitions }: History): Counts {
  const outcomes = { ok: 0, fail: 0, info: 0 }
  for (const { outcome } of writes.values()) outcomes[outcome]++
  const all = [...partitions.values()]
  return {
    events: events.length,
    clients: clients.size,
    crashes: events.filter(({ type }) => type === 'crash').length,
    acknowledged: outcomes.ok,
    failed: outcomes.fail,
    unknown: outcomes.info,
    read: all.reduce((sum, { readCount }) => sum + readCount, 0),
    commits: commits.length,
    finallyRead: all.filter(({ final }) => final !== null).length,
    partitions: all.length,
  }
}
