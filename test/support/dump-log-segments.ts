import { readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { parseDump, type DumpedBatch } from '../../packages/records/test/kafka-dump.js'
import { mustRun } from './children.js'
import { kafkaTool } from './kafka-tools.js'

/** What Kafka's DumpLogSegments has to say of a log's directory. */
export interface DumpedLog {
  /** Of its segments, one after the other. */
  readonly batches: DumpedBatch[]
  /** The lines of its files of that kind, in the order of their names. */
  lines(extension: '.log' | '.txnindex' | '.snapshot'): string[]
  /** What is wrong with it, in the tool's words. */
  readonly complaints: readonly string[]
}

export interface DumpOptions {
  /** For the records of a topic that brokers keep for themselves, e.g. `--offsets-decoder`. */
  readonly decoder?: string
  /** Which of the logs may have gaps between their offsets: compacted ones. */
  readonly compacted?: readonly string[]
}

/** What the tool prints of files that nothing is wrong with. */
const FINE = [
  /^Log starting offset: \d+$/,
  /^baseOffset: .* isvalid: true$/,
  // What it cannot decode it prints as the key.
  /^\| offset: (?!.* key: (Error at offset|Unknown record type) )/,
  /^offset: \d+ position: \d+$/,
  /^timestamp: \d+ offset: \d+$/,
  /^version: 0 producerId: /,
  /^producerId: /,
  / is empty\.$/,
  / passed sanity check\.$/,
  /^$/,
]

/** Of what runs the tool. */
const OF_JAVA =
  /^(SLF4J|log4j|WARNING): |^log4j:WARN |^Picked up \w+: |^OpenJDK 64-Bit Server VM warning: |^$/

type Sections = Map<string, string[]>

/** The printed lines of each file. */
function sectionsOf(stdout: string): Sections {
  const sections: Sections = new Map()
  let lines: string[] = []
  for (const line of stdout.split('\n')) {
    const file = /^Dumping (\S+)$/.exec(line)?.[1]
    if (file === undefined) lines.push(line)
    else sections.set(file, (lines = []))
  }
  return sections
}

interface Complaint {
  /** Empty where the tool does not name it. */
  readonly file: string
  readonly text: string
}

/** The tool ends with 0 whatever it finds, and says the worst of it only here. */
function* complaintsOf(
  stderr: string,
  sections: Sections,
  compacted: readonly string[],
): Generator<Complaint> {
  let heading = ''
  let file = ''
  for (const line of stderr.split('\n').filter((one) => !OF_JAVA.test(one))) {
    const named = / in :?(\S+)$/.exec(line)?.[1]
    if (named !== undefined) {
      heading = `${line}\n`
      file = named
      continue
    }
    const isRemoved = isGap(file, line) || isOfEmptied(file, line, sections)
    if (isWhereItBegins(file, line) || (isRemoved && compacted.includes(dirname(file)))) continue
    yield { file, text: heading + line }
  }
}

const followed = (line: string): number[] =>
  (/^ {2}(-1|\d+) is followed by (\d+)$/.exec(line) ?? []).slice(1).map(Number)

/** The tool expects every segment to begin at offset 0. */
function isWhereItBegins(file: string, line: string): boolean {
  const [before, next] = followed(line)
  return before === -1 && next === Number(basename(file, '.log'))
}

/** Where compaction took records out. */
function isGap(file: string, line: string): boolean {
  const [before, next] = followed(line)
  return next !== undefined && next > before! + 1 && next > Number(basename(file, '.log'))
}

/**
 * A batch without records has no time for the tool, which looks at the records alone. Kafka's cleaner leaves its largest
 * timestamp in the header, and notes that in the time index as of any batch, as its own files show
 * (test/fixtures/kafka-4.4-emptied-0).
 */
function isOfEmptied(file: string, line: string, sections: Sections): boolean {
  const timestamp = /^ {2}Index timestamp: (\d+), log timestamp: -1$/.exec(line)?.[1]
  if (timestamp === undefined) return false
  const entry = sections.get(file)?.find((one) => one.startsWith(`timestamp: ${timestamp} offset: `))
  const offset = entry?.split(' ').at(-1)
  const batches = sections.get(file.replace(/timeindex$/, 'log')) ?? []
  return batches.some(
    (one) => one.includes(` lastOffset: ${offset} count: 0 `) && one.includes(` CreateTime: ${timestamp} `),
  )
}

/** Has Kafka's tool go through all that it knows in the directories of these logs, in two runs for all of them. */
export async function dumpLogSegments(
  dirs: readonly string[],
  { decoder, compacted = [] }: DumpOptions = {},
): Promise<DumpedLog[]> {
  const run = async (kinds: RegExp, ...args: string[]): Promise<Sections & { complaints: Complaint[] }> => {
    const files = dirs.flatMap((dir) =>
      readdirSync(dir)
        .filter((name) => kinds.test(name))
        .sort()
        .map((name) => join(dir, name)),
    )
    const [java, ...tool] = kafkaTool('DumpLogSegments', ...args, '--files', files.join())
    const { stdout, stderr } = await mustRun(java, tool)
    const sections = sectionsOf(stdout.toString())
    const complaints = [...complaintsOf(stderr, sections, compacted)]
    for (const [file, lines] of sections) {
      const odd = lines.filter((line) => !FINE.some((fine) => fine.test(line)))
      complaints.push(...odd.map((text) => ({ file, text })))
    }
    for (const file of files.filter((one) => !sections.has(one)))
      complaints.push({ file, text: 'not dumped' })
    return Object.assign(sections, { complaints })
  }
  const sane = await run(/\.(index|timeindex)$/, '--index-sanity-check')
  const print = ['--deep-iteration', '--print-data-log', ...(decoder === undefined ? [] : [decoder])]
  const dumped = await run(/\.(log|index|timeindex|txnindex|snapshot)$/, ...print)

  return dirs.map((dir) => {
    const lines = (extension: string): string[] =>
      Array.from(dumped)
        .filter(([file]) => dirname(file) === dir && file.endsWith(extension))
        .flatMap(([, printed]) => printed)
        .filter((line) => line !== '')
    const complaints = [...sane.complaints, ...dumped.complaints]
      .filter(({ file }) => file === '' || dirname(file) === dir)
      .map(({ text }) => text)
    return { batches: parseDump(lines('.log').join('\n')), lines, complaints }
  })
}
