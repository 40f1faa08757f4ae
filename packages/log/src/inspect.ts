import { basename, dirname, join } from 'node:path'
import {
  inspectLog,
  logsIn,
  newProgress,
  type NativeFinding,
  type NativeInspection,
  type NativeProgress,
  type NativeSegment,
} from '@varve/native'
import { META_PROPERTIES, openEngineDirectory, type EngineDirectory } from './data-directory.js'
import { exists, realPath } from './existing-path.js'
import { unwrap } from './failure.js'
import { checkDirectory } from './whole-number.js'

/**
 * What something found is:
 * - `'damaged-batches'`: bytes that are no batch, or do not agree with its checksum, where batches should be.
 * - `'torn-tail'`: bytes behind the last whole batch, which opening the log takes away.
 * - `'missing-offsets'`: offsets that are in no segment.
 * - `'old-format'`: batches of a format before magic 2, which is not read.
 * - `'wrong-index'`: an index that is missing or does not agree with the batches.
 * - `'wrong-epochs'`: a `leader-epoch-checkpoint` that does not know the epochs of the batches.
 * - `'wrong-snapshot'`: a snapshot of producers that cannot be read.
 */
export type FindingKind =
  | 'damaged-batches'
  | 'torn-tail'
  | 'missing-offsets'
  | 'old-format'
  | 'wrong-index'
  | 'wrong-epochs'
  | 'wrong-snapshot'

/** Something that an inspection found. */
export interface Finding {
  /** What it is. */
  kind: FindingKind
  /** Whether {@link inspect} with `repair` does something about it. */
  repairable: boolean
  /** The path of the file. */
  file: string
  /** Where in the file it starts; 0 for a whole file. */
  position: number
  /** How many bytes of the file it has; 0 for a whole file. */
  bytes: number
  /** The first offset that it concerns. */
  fromOffset: number
  /** The offset behind the last one that it concerns. */
  toOffset: number
  /** What is wrong. */
  detail: string
  /** What can be done about it. */
  remedy: string
}

/** What a repair did. */
export interface Repair extends Finding {
  /** The file that has the damaged bytes now; `null` where there were none. */
  keptAside: string | null
}

/** What an inspection counted in a segment. */
export interface SegmentInspection {
  /** The offset that names its file. */
  baseOffset: number
  /** The offset behind its last batch. */
  endOffset: number
  /** Of its whole batches. */
  bytes: number
  /** Control batches among them. */
  batches: number
  /** In those batches, markers among them. */
  records: number
  /** Markers that end transactions. */
  controlBatches: number
  /** Batches of transactions, their markers among them. */
  transactionalBatches: number
  /** How many batches have which codec. */
  codecs: Record<'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd' | 'unknown', number>
  /** Of the first batch with a time, in ms; `null` when there is none. */
  firstTimestamp: number | null
  /** The largest, in ms. */
  maxTimestamp: number | null
  /** Of its offset index; `null` for one that is missing or cannot be read. */
  indexEntries: number | null
  /** Of its time index; `null` for one that is missing or cannot be read. */
  timeIndexEntries: number | null
}

/** What was found of a log. */
export interface LogInspection {
  /** The absolute path of its directory. */
  dir: string
  /** The first offset that can be read. */
  startOffset: number
  /** The offset that the next record would get. */
  endOffset: number
  /** Below it everything was flushed; `null` when that is not known, as of a log that was copied without its data directory. */
  recoveryPoint: number | null
  /** Whether its data directory was closed cleanly; false while somebody has it open. */
  clean: boolean
  /** Of all segments. */
  bytes: number
  /** In all segments. */
  batches: number
  /** In all segments. */
  records: number
  /** In the order of their offsets. */
  segments: SegmentInspection[]
  /** The leader epochs of the batches and where the first batch of each starts. */
  leaderEpochs: Array<{ epoch: number; startOffset: number }>
  /** Snapshots of producers; `producers` is `null` for one that cannot be read. */
  snapshots: Array<{ offset: number; producers: number | null }>
  /** What recoveries and repairs kept aside. */
  cutFiles: Array<{ name: string; bytes: number }>
  /** What is lost or wrong. */
  problems: Finding[]
  /** What is no problem: opening the log puts it right, or passes over it. */
  notes: Finding[]
  /** What was repaired; `problems` are those that are left. */
  repairs: Repair[]
}

/** How to inspect. */
export interface InspectOptions {
  /**
   * Repairs what can be: builds indexes and the `leader-epoch-checkpoint` again, and puts an empty batch in the place of
   * damaged batches and of missing offsets, so that no offset is given a second time. Damaged bytes are kept aside as
   * `<offset>.cut`. A crash on the way leaves what was sound. Needs the directory's lock. Default `false`.
   */
  repair?: boolean
  /** Called a few times a second with the bytes that were looked at, of how many. */
  onProgress?: (done: number, total: number, dir: string) => void
}

const PROGRESS_MS = 200
const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd', 'unknown'] as const

const REMEDIES: Readonly<Record<FindingKind, string>> = {
  'damaged-batches':
    'restore the file from a copy, or repair: the bytes are kept aside, an empty batch takes their place, and all else stays readable',
  'torn-tail': 'nothing: opening the log takes it away, and keeps whole batches in it aside',
  'missing-offsets':
    'restore the segments from a copy, or repair: an empty batch then stands for the offsets, so that the log goes on behind them',
  'old-format': 'read it with Kafka up to version 3 and produce it anew',
  'wrong-index': 'repair, which builds it again from the batches',
  'wrong-epochs': 'repair, which builds it again from the batches',
  'wrong-snapshot': 'nothing: opening the log passes over it',
}

/**
 * Looks over the log in `dir`, or every log of the data directory `dir`: each batch against its checksum, each index against
 * the batches, on another thread. Without `repair` it takes no lock and changes nothing; what somebody cuts off or compacts
 * meanwhile may look like a problem.
 *
 * @throws VarveError `VARVE_IO`, also for a directory without a log; with `repair` `VARVE_LOCKED`, `VARVE_NOT_WRITABLE`
 * @example
 * ```ts
 * import { inspect, openLog } from '@varve/log'
 *
 * await (await openLog('./data')).close()
 * for (const { dir, problems } of await inspect('./data')) {
 *   for (const { file, position, detail } of problems) console.log(dir, file, position, detail)
 * }
 * ```
 */
export async function inspect(dir: string, options: InspectOptions = {}): Promise<LogInspection[]> {
  checkDirectory(dir)
  const path = realPath(dir)
  const parent = dirname(path)
  const isPartition =
    parent !== path && exists(join(parent, META_PROPERTIES)) && !exists(join(path, META_PROPERTIES))
  const directory = isPartition ? parent : path
  let names = isPartition ? [basename(path)] : unwrap(await logsIn(path))
  // The one for the directory itself says what is missing in it.
  if (names.length === 0) names = ['']
  const inspections: LogInspection[] = []
  if (options.repair !== true) {
    for (const name of names) inspections.push(await inspectOne(directory, name, options))
    return inspections
  }
  const locked = await openEngineDirectory(directory, {})
  try {
    for (const name of names) inspections.push(await repairOne(locked, name, options))
  } finally {
    await locked.release()
  }
  return inspections
}

async function inspectOne(directory: string, name: string, options: InspectOptions): Promise<LogInspection> {
  const dir = join(directory, name)
  const native = unwrap(await watched(dir, options, (progress) => inspectLog(directory, name, progress)))
  return toInspection(dir, native)
}

async function repairOne(
  directory: EngineDirectory,
  name: string,
  options: InspectOptions,
): Promise<LogInspection> {
  const dir = join(directory.dir, name)
  const repaired = unwrap(await watched(dir, options, (progress) => directory.repair(name, progress)))
  const inspection = await inspectOne(directory.dir, name, options)
  const repairs = repaired.map(({ finding, keptAside }) => ({
    ...toFinding(finding),
    keptAside: keptAside ?? null,
  }))
  return { ...inspection, repairs }
}

async function watched<T>(
  dir: string,
  { onProgress }: InspectOptions,
  work: (progress: NativeProgress) => Promise<T>,
): Promise<T> {
  const progress = newProgress()
  const timer = setInterval(() => onProgress?.(progress.done, progress.total, dir), PROGRESS_MS)
  try {
    return await work(progress)
  } finally {
    clearInterval(timer)
  }
}

function toInspection(dir: string, native: NativeInspection): LogInspection {
  const segments = native.segments.map(toSegment)
  const sum = (count: (segment: SegmentInspection) => number): number =>
    segments.reduce((total, segment) => total + count(segment), 0)
  return {
    dir,
    startOffset: native.startOffset,
    endOffset: native.endOffset,
    recoveryPoint: native.recoveryPoint ?? null,
    clean: native.clean,
    bytes: sum(({ bytes }) => bytes),
    batches: sum(({ batches }) => batches),
    records: sum(({ records }) => records),
    segments,
    leaderEpochs: native.leaderEpochs,
    snapshots: native.snapshots.map(({ offset, producers }) => ({ offset, producers: producers ?? null })),
    cutFiles: native.cutFiles,
    problems: native.findings.filter(({ isProblem }) => isProblem).map(toFinding),
    notes: native.findings.filter(({ isProblem }) => !isProblem).map(toFinding),
    repairs: [],
  }
}

function toSegment(segment: NativeSegment): SegmentInspection {
  const { codecs, firstTimestamp, maxTimestamp, indexEntries, timeIndexEntries, ...rest } = segment
  return {
    ...rest,
    codecs: Object.fromEntries(
      CODECS.map((codec, number) => [codec, codecs[number]!]),
    ) as SegmentInspection['codecs'],
    firstTimestamp: firstTimestamp ?? null,
    maxTimestamp: maxTimestamp ?? null,
    indexEntries: indexEntries ?? null,
    timeIndexEntries: timeIndexEntries ?? null,
  }
}

function toFinding({ kind, isRepairable, isProblem, ...rest }: NativeFinding): Finding {
  const known = kind as FindingKind
  const heals = known === 'wrong-index' && !isProblem
  const isLost = isProblem && !isRepairable && (known === 'missing-offsets' || known === 'wrong-index')
  const isGap = known === 'missing-offsets' && !isProblem
  let remedy = REMEDIES[known]
  if (heals) remedy = 'nothing: opening the log builds it again'
  if (isGap) remedy = 'nothing: a compaction leaves such gaps'
  if (isLost) remedy = 'restore the file from a copy'
  return { kind: known, repairable: isRepairable, ...rest, remedy }
}
