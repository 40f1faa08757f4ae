import { relative } from 'node:path'
import { inspect, type Finding, type LogInspection, type SegmentInspection } from '@varve/log'
import { bytesText, recordsText } from './tally.js'

export interface InspectOptions {
  repair?: boolean
  json?: boolean
  quiet?: boolean
}

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const PROBLEMS_FOUND = 1

/** Keeps a line on standard error up to date, if that is a terminal. */
function showProgress(done: number, total: number, dir: string): void {
  const share = total === 0 ? 0 : Math.floor((done / total) * 100)
  process.stderr.write(`\r\x1b[K${dir}: ${share} % of ${bytesText(total)}`)
}

export async function inspectLogs(dir: string, { repair, json, quiet }: InspectOptions): Promise<void> {
  const onProgress = !quiet && process.stderr.isTTY ? showProgress : undefined
  let logs: LogInspection[]
  try {
    logs = await inspect(dir, { repair, onProgress })
  } finally {
    if (onProgress !== undefined) process.stderr.write('\r\x1b[K')
  }
  if (json) process.stdout.write(`${JSON.stringify({ logs }, null, 2)}\n`)
  else process.stdout.write(textOf(logs, quiet ?? false))
  process.exitCode = logs.some(({ problems }) => problems.length > 0) ? PROBLEMS_FOUND : 0
}

function textOf(logs: LogInspection[], quiet: boolean): string {
  const shown = quiet ? logs.filter(({ problems, repairs }) => problems.length + repairs.length > 0) : logs
  const problems = logs.reduce((sum, log) => sum + log.problems.length, 0)
  const repairs = logs.reduce((sum, log) => sum + log.repairs.length, 0)
  const sum = `${count(logs.length, 'log')}, ${count(problems, 'problem')}${repairs > 0 ? `, ${repairs} repaired` : ''}`
  return `${shown.map(logText).join('')}${sum}\n`
}

function logText(log: LogInspection): string {
  const { dir, startOffset, endOffset, recoveryPoint, clean, segments, leaderEpochs, snapshots } = log
  const state = clean ? 'closed cleanly' : 'in use or not closed cleanly'
  const point = recoveryPoint === null ? 'no recovery point' : `recovery point ${whole.format(recoveryPoint)}`
  const lines = [
    dir,
    `  offsets ${whole.format(startOffset)} to ${whole.format(endOffset)}, ${point}, ${state}`,
    `  ${recordsText(log.records)} in ${count(log.batches, 'batch', 'batches')}, ${bytesText(log.bytes)} in ${count(segments.length, 'segment')}${codecsText(segments)}`,
  ]
  if (leaderEpochs.length > 0) {
    const epochs = leaderEpochs.map(({ epoch, startOffset }) => `${epoch} from ${whole.format(startOffset)}`)
    lines.push(`  leader epochs ${epochs.join(', ')}`)
  }
  if (snapshots.length > 0) {
    const last = snapshots.at(-1)!
    lines.push(
      `  ${count(snapshots.length, 'producer snapshot')}, the last at ${whole.format(last.offset)} with ${count(last.producers ?? 0, 'producer')}`,
    )
  }
  lines.push(...segmentTable(segments))
  for (const { name, bytes } of log.cutFiles) lines.push(`  kept aside ${name}, ${bytesText(bytes)}`)
  for (const { keptAside, ...repaired } of log.repairs) {
    const kept = keptAside === null ? '' : `; its bytes are in ${relative(dir, keptAside)}`
    lines.push(`  repaired ${findingText(dir, repaired)}${kept}`)
  }
  for (const problem of log.problems)
    lines.push(`  PROBLEM ${findingText(dir, problem)}`, `    ${problem.remedy}`)
  for (const note of log.notes) lines.push(`  note ${findingText(dir, note)}`, `    ${note.remedy}`)
  return `${lines.join('\n')}\n`
}

const HEADS = [
  'base offset',
  'end offset',
  'bytes',
  'batches',
  'records',
  'index',
  'time index',
  'largest time',
]

function segmentTable(segments: SegmentInspection[]): string[] {
  const rows = segments.map((segment) => [
    whole.format(segment.baseOffset),
    whole.format(segment.endOffset),
    whole.format(segment.bytes),
    whole.format(segment.batches),
    whole.format(segment.records),
    segment.indexEntries === null ? '-' : whole.format(segment.indexEntries),
    segment.timeIndexEntries === null ? '-' : whole.format(segment.timeIndexEntries),
    timeText(segment.maxTimestamp),
  ])
  const widths = HEADS.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]!.length)))
  return [HEADS, ...rows].map(
    (row) => `  ${row.map((cell, column) => cell.padStart(widths[column]!)).join('  ')}`,
  )
}

/** A time that a date can hold, as ISO 8601. */
function timeText(timestamp: number | null): string {
  if (timestamp === null) return '-'
  const date = new Date(timestamp)
  return Number.isNaN(date.getTime()) ? String(timestamp) : date.toISOString()
}

function codecsText(segments: SegmentInspection[]): string {
  const sums = new Map<string, number>()
  for (const { codecs } of segments) {
    for (const [codec, batches] of Object.entries(codecs)) sums.set(codec, (sums.get(codec) ?? 0) + batches)
  }
  const used = [...sums].filter(([codec, batches]) => codec !== 'none' && batches > 0)
  return used.map(([codec, batches]) => `, ${whole.format(batches)} ${codec}`).join('')
}

function findingText(dir: string, finding: Finding): string {
  const { file, position, bytes, fromOffset, toOffset, detail } = finding
  const place = bytes > 0 ? `, byte ${position} to ${position + bytes}` : ''
  const offsets =
    toOffset > fromOffset + 1 ? `, offsets ${fromOffset} to ${toOffset - 1}` : `, offset ${fromOffset}`
  return `${relative(dir, file)}${place}${offsets}: ${detail}`
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${whole.format(number)} ${number === 1 ? one : many}`
}
