import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { dumpLogSegments } from '../../support/dump-log-segments.js'
import { kafkaToolsMissing } from '../../support/kafka-tools.js'
import { check } from '../history/check.js'
import type { HistoryEvent } from '../history/event.js'
import { readHistory } from '../history/json-lines.js'
import { porcupine, porcupineMissing } from '../porcupine/porcupine.js'
import type { BrokerMember } from './processes.js'

export interface Judgement {
  readonly findings: readonly string[]
  /** What the checker has to say of the whole. */
  readonly report: string
  readonly history: readonly HistoryEvent[]
}

/**
 * Judges the history that clients wrote into these files, by the checker and, where it is there, by porcupine.
 *
 * @param renumbering producers that have given records new numbers, and so cannot promise any more that these are there once
 */
export async function judge(files: readonly string[], renumbering: ReadonlySet<string>): Promise<Judgement> {
  const history = readHistory(...files.filter((file) => existsSync(file))).map((event) =>
    event.type === 'start' && event.producer !== undefined && renumbering.has(event.client)
      ? { ...event, producer: { ...event.producer, idempotent: false } }
      : event,
  )
  const report = check(history)
  const findings = report.anomalies.length === 0 ? [] : [`the history has anomalies:\n${String(report)}`]
  if (report.counts.finallyRead < report.counts.partitions)
    findings.push('not every partition was read to its end, so that no loss can be told')
  const verdicts = porcupineMissing === null ? await porcupine(history) : []
  for (const verdict of verdicts)
    if (verdict.verdict === 'illegal') findings.push(`porcupine: ${JSON.stringify(verdict)}`)
  const opinions = verdicts.map(({ partition, verdict }) => `${partition} ${verdict}`).join(', ')
  return {
    findings,
    report: `${String(report)}\nporcupine: ${porcupineMissing ?? opinions}`,
    history,
  }
}

/** Clients that do not get on any more once everything is healed: nothing acknowledged, or nothing read. */
export function* standstills(history: readonly HistoryEvent[], healedAt: number): Iterable<string> {
  const gotOn = new Set<string>()
  for (const event of history) {
    if (event.type !== 'ok' || event.time < healedAt) continue
    const hasRead = Object.values(event.records ?? {}).some((records) => records.length > 0)
    if (hasRead || event.offset !== undefined) gotOn.add(event.client)
  }
  for (const event of history) {
    if (event.type !== 'start' || gotOn.has(event.client)) continue
    const what = event.producer === undefined ? 'read nothing' : 'had nothing acknowledged'
    yield `${event.client} has ${what} since everything was healed`
  }
}

/** Where the replicas of partitions differ as Kafka's own tool sees their files, or it finds something wrong with them. */
export async function differencesOfReplicas(
  brokers: readonly BrokerMember[],
  partitions: readonly string[],
): Promise<string[]> {
  if (kafkaToolsMissing !== null) return []
  const places = partitions.flatMap((partition) =>
    brokers.map(({ machine, data }) => ({ partition, on: machine.name, path: join(data, partition) })),
  )
  const dumps = await dumpLogSegments(places.map(({ path }) => path))
  const first = new Map<string, string>()
  const findings: string[] = []
  for (const [index, { partition, on }] of places.entries()) {
    const { batches, complaints } = dumps[index]!
    // A process that was killed while it wrote a snapshot leaves one that no recovery believes.
    for (const complaint of complaints.filter((one) => !one.startsWith('Snapshot failed schema validation')))
      findings.push(`DumpLogSegments of ${partition} on ${on}: ${complaint}`)
    // Where segments end is each broker's own.
    const text = JSON.stringify(batches, (name, value: unknown) => (name === 'position' ? undefined : value))
    const expected = first.get(partition)
    if (expected === undefined) first.set(partition, text)
    else if (expected !== text)
      findings.push(`DumpLogSegments: ${partition} on ${on} differs from the first replica`)
  }
  return findings
}
