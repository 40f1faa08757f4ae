import type { HistoryEvent, Invoke, Ok } from './event.js'
import type { Finding } from './finding.js'
import type { History } from './history.js'

const mostEvents = 14
/** So many records before and behind the offset that matters are shown of a poll. */
const recordsAround = 2

type Focus = Pick<Finding, 'partition' | 'offset'>

/** A finding for a person: what is wrong, and the events that show it, with the crashes and assignments between them. */
export function tell(finding: Finding, history: History): string {
  const { subject, what, toleratedBecause } = finding
  const head = `${subject}: ${what}${toleratedBecause === undefined ? '' : ` (${toleratedBecause})`}`
  const events = eventsOf(finding, history)
  const width = Math.max(...events.map(({ client }) => client.length))
  const lines = events.map(
    (event) =>
      `  ${(event.time / 1000).toFixed(3).padStart(12)} ms  ${event.client.padEnd(width)}  ${saying(event, history, finding)}`,
  )
  if (lines.length > mostEvents) {
    const left = lines.length - mostEvents
    lines.splice(mostEvents / 2, left, `  ${'…'.padStart(12)}     ${left} more crashes and assignments`)
  }
  return [head, ...lines].join('\n')
}

function eventsOf({ evidence }: Finding, history: History): HistoryEvent[] {
  const chosen = new Set(evidence)
  const times = evidence.map(({ time }) => time)
  const [from, to] = [Math.min(...times), Math.max(...times)]
  const clients = new Set(evidence.map(({ client }) => client))
  const isAround = ({ type, client, time }: HistoryEvent): boolean =>
    time >= from &&
    time <= to &&
    (type === 'crash' ||
      (clients.has(client) && (type === 'assigned' || type === 'revoked' || type === 'seek')))
  return history.events.filter((event) => chosen.has(event) || isAround(event))
}

function saying(event: HistoryEvent, history: History, focus: Focus): string {
  switch (event.type) {
    case 'start':
      return 'starts'
    case 'crash':
      return 'crashes'
    case 'seek':
      return `seeks to ${event.offset ?? 'somewhere'} in ${event.partition}`
    case 'assigned':
      return `is assigned ${listed(event.positions, (name, position) => `${name}${position === null ? '' : ` at ${position}`}`)}${event.generation === undefined ? '' : ` in generation ${event.generation}`}`
    case 'revoked':
      return `gives up ${event.partitions.join(', ')}`
    case 'invoke':
      return asking(event, focus)
    case 'ok':
      return answering(event, history.operationOf(event).invoke, focus)
    case 'fail':
    case 'info': {
      const { call } = history.operationOf(event).invoke
      const outcome = event.type === 'fail' ? 'has failed' : 'has an unknown outcome'
      return `${call} ${outcome}${event.error === undefined ? '' : `: ${event.error}`}`
    }
  }
}

function asking(event: Invoke, { partition }: Focus): string {
  if (event.call === 'produce') return `sends ${JSON.stringify(event.value)} to ${event.partition}`
  if (event.call === 'commit')
    return `commits ${event.offsets[partition] ?? 'others'} of ${partition}${event.generation === undefined ? '' : ` in generation ${event.generation}`}`
  return { poll: 'polls', committed: 'asks for the committed offset', listOffsets: 'asks for the ends' }[
    event.call
  ]
}

function answering(event: Ok, invoke: Invoke, { partition, offset }: Focus): string {
  switch (invoke.call) {
    case 'produce':
      return `is told that ${JSON.stringify(invoke.value)} is ${event.offset === undefined ? 'there' : `at offset ${event.offset}`}`
    case 'commit':
      return `is told that ${invoke.offsets[partition] ?? 'it'} is committed`
    case 'committed':
      return `is told ${event.offsets![partition] ?? 'that there is none'}`
    case 'listOffsets':
      return `is told that ${partition} is from ${event.ends![partition]?.join(' to ') ?? 'nowhere'}`
    case 'poll':
      return polled(event, partition, offset)
  }
}

function polled({ records, positions }: Ok, partition: string, offset: number | null): string {
  const all = records![partition] ?? []
  const position = positions?.[partition]
  const behind = position === undefined ? '' : `, and is at ${position}`
  if (all.length === 0) return `gets nothing of ${partition}${behind}`
  const at = all.findIndex(([each]) => offset !== null && each >= offset)
  const middle = at === -1 ? all.length - 1 : at
  const shown = all.slice(Math.max(0, middle - recordsAround), middle + recordsAround + 1)
  const rest = shown.length < all.length ? ` (of ${all.length}, ${all[0]![0]} to ${all.at(-1)![0]})` : ''
  return `gets ${partition} ${shown.map(([each, value]) => `${each} ${JSON.stringify(value)}`).join(', ')}${rest}${behind}`
}

function listed<Value>(
  record: Readonly<Record<string, Value>>,
  each: (name: string, value: Value) => string,
): string {
  const entries = Object.entries(record)
  return entries.length === 0 ? 'nothing' : entries.map(([name, value]) => each(name, value)).join(', ')
}
