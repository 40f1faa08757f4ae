import { channel, type Channel } from 'node:diagnostics_channel'
import type { NativeLog } from '@varve/native'
import type { VarveError } from '@varve/records'
import { toError } from './failure.js'
import type { Recovered } from './log.js'
import type { Durability } from './options.js'

/** What every event says. */
export interface LogEvent {
  /** The absolute path of the log's directory. */
  dir: string
}

/** A log was opened, recovered if that was needed. */
export interface LogOpenEvent extends LogEvent {
  /** What its appends are acknowledged by. */
  durability: Durability
  /** The first offset that can be read. */
  startOffset: number
  /** The offset that the next record gets. */
  endOffset: number
}

/** The stop before this opening was unclean. Published before {@link LogOpenEvent}. */
export interface LogRecoveredEvent extends LogEvent, Recovered {}

/**
 * An append that was handed to the engine was refused, or failed, or cannot become durable any more. One that never came
 * so far, because its records cannot be encoded or the log is closed, is its caller's alone.
 */
export interface AppendFailureEvent extends LogEvent {
  /** What the append rejects with. */
  error: VarveError
  /** How many records were in the batch. */
  records: number
}

/** Records became durable, with one fsync or several that ended in short succession. */
export interface FlushEvent extends LogEvent {
  /** Everything below is on disk for good. */
  flushedOffset: number
  /** How many offsets it moved on since the event before. */
  records: number
}

/** A new segment was begun. */
export interface RollEvent extends LogEvent {
  /** Of the new segment. */
  baseOffset: number
}

/** The log's start moved, by retention or `deleteBefore`. */
export interface DeleteEvent extends LogEvent {
  /** The first offset that can be read now. */
  startOffset: number
  /** How many offsets are gone since the event before. */
  records: number
}

/** The log's end was cut off, or all of it, by `truncateTo` or `truncateFullyAndStartAt`. */
export interface TruncateEvent extends LogEvent {
  /** Where the log starts since: another offset only where it was to start anew. */
  startOffset: number
  /** The lowest offset at which the log has ended since the event before. */
  endOffset: number
}

/** A compaction has ended, or several since the event before. */
export interface CompactEvent extends LogEvent {
  /** Of the segments that were replaced, in bytes; 0 when there was nothing to remove. */
  replacedBytes: number
  /** Of those that took their place. */
  keptBytes: number
  /** Why the last one came to nothing; the log stayed as it was, and it is tried again. `null` when it did not. */
  error: VarveError | null
}

/** The log takes no more writes: a write or an fsync failed, or bytes that were durable do not parse. Once for a log. */
export interface LogFailureEvent extends LogEvent {
  /** `VARVE_LOG_FAILED`, or `VARVE_LOG_CORRUPT` with file, position and offset in its message. */
  error: VarveError
}

/** The log was closed. */
export interface LogCloseEvent extends LogEvent {
  /** The offset behind the last record. */
  endOffset: number
  /** What `close` rejects with; `null` when everything is on disk. */
  error: VarveError | null
}

/**
 * The channels of `node:diagnostics_channel` and what is published on them, as it happens and on the thread that has the log
 * open. A channel without a subscriber costs nothing.
 *
 * @example
 * ```ts
 * import { subscribe } from 'node:diagnostics_channel'
 * import { openLog, type LogEvents } from '@varve/log'
 *
 * subscribe('varve:log:flush', (message) => {
 *   const { dir, flushedOffset, records } = message as LogEvents['varve:log:flush']
 *   console.log(`${dir}: ${records} more records are on disk, up to ${flushedOffset}`)
 * })
 * const log = await openLog('./watched')
 * await log.append([{ value: 'a' }])
 * await log.close()
 * ```
 */
export interface LogEvents {
  /** A log was opened, recovered if that was needed. */
  'varve:log:open': LogOpenEvent
  /** The stop before was unclean; just before `varve:log:open`. */
  'varve:log:recovered': LogRecoveredEvent
  /** An append was refused, or failed. */
  'varve:log:append-failure': AppendFailureEvent
  /** Records became durable. */
  'varve:log:flush': FlushEvent
  /** A segment was begun. */
  'varve:log:roll': RollEvent
  /** The log's start moved, by retention or `deleteBefore`. */
  'varve:log:delete': DeleteEvent
  /** The log's end was cut off. */
  'varve:log:truncate': TruncateEvent
  /** A compaction has ended. */
  'varve:log:compact': CompactEvent
  /** A write or an fsync failed: the log takes no more writes. */
  'varve:log:failed': LogFailureEvent
  /** Bytes that were durable do not parse: the log can only be read. */
  'varve:log:corrupt': LogFailureEvent
  /** The log was closed. */
  'varve:log:close': LogCloseEvent
}

type Name = keyof LogEvents

const channels: Readonly<Record<Name, Channel>> = {
  'varve:log:open': channel('varve:log:open'),
  'varve:log:recovered': channel('varve:log:recovered'),
  'varve:log:append-failure': channel('varve:log:append-failure'),
  'varve:log:flush': channel('varve:log:flush'),
  'varve:log:roll': channel('varve:log:roll'),
  'varve:log:delete': channel('varve:log:delete'),
  'varve:log:truncate': channel('varve:log:truncate'),
  'varve:log:compact': channel('varve:log:compact'),
  'varve:log:failed': channel('varve:log:failed'),
  'varve:log:corrupt': channel('varve:log:corrupt'),
  'varve:log:close': channel('varve:log:close'),
}

function publish<N extends Name>(name: N, event: LogEvents[N]): void {
  channels[name].publish(event)
}

const isWatched = (name: Name): boolean => channels[name].hasSubscribers

/** Tells the channels of one log. What nobody is subscribed to is not asked for, and not put together. */
export class LogWatch {
  readonly #native: NativeLog
  readonly #dir: string
  /** As the last events, or the opening, said. */
  #flushedOffset: number
  #startOffset: number
  #activeSegment: number
  #truncations: number
  #compactions = 0
  #replacedBytes = 0
  #keptBytes = 0
  #failed = false

  constructor(native: NativeLog, dir: string) {
    this.#native = native
    this.#dir = dir
    this.#flushedOffset = native.flushedOffset
    this.#startOffset = native.startOffset
    this.#activeSegment = native.activeSegment
    this.#truncations = native.truncations
  }

  opened(durability: Durability): void {
    const dir = this.#dir
    const { recovered, startOffset, endOffset } = this.#native
    if (recovered !== null && isWatched('varve:log:recovered')) {
      publish('varve:log:recovered', { dir, ...recovered })
    }
    if (isWatched('varve:log:open')) publish('varve:log:open', { dir, durability, startOffset, endOffset })
    this.changed()
  }

  appendFailed(error: VarveError, records: number): void {
    if (!isWatched('varve:log:append-failure')) return
    publish('varve:log:append-failure', { dir: this.#dir, error, records })
  }

  /** Looks at what has become of the log, after a change that somebody may wait for. */
  changed(): void {
    if (isWatched('varve:log:truncate') || isWatched('varve:log:delete')) this.#lookAtTruncations()
    if (isWatched('varve:log:roll')) this.#lookAtSegment()
    if (isWatched('varve:log:flush')) this.#lookAtFlushed()
    if (isWatched('varve:log:delete')) this.#lookAtStart()
    if (isWatched('varve:log:compact')) this.#lookAtCompactions()
    if (isWatched('varve:log:failed') || isWatched('varve:log:corrupt')) this.#lookAtFailure()
  }

  closed(error: VarveError | null): void {
    if (!isWatched('varve:log:close')) return
    publish('varve:log:close', { dir: this.#dir, endOffset: this.#native.endOffset, error })
  }

  #lookAtSegment(): void {
    const baseOffset = this.#native.activeSegment
    const isNew = baseOffset > this.#activeSegment
    this.#activeSegment = baseOffset
    if (isNew) publish('varve:log:roll', { dir: this.#dir, baseOffset })
  }

  #lookAtFlushed(): void {
    const { flushedOffset } = this.#native
    // A truncation moves it back.
    const records = flushedOffset - this.#flushedOffset
    this.#flushedOffset = flushedOffset
    if (records > 0) publish('varve:log:flush', { dir: this.#dir, flushedOffset, records })
  }

  #lookAtStart(): void {
    const { startOffset } = this.#native
    // Threads go on meanwhile: where a truncation has moved it, the next look tells of that.
    if (this.#native.truncations !== this.#truncations) return
    const records = startOffset - this.#startOffset
    this.#startOffset = startOffset
    if (records > 0) publish('varve:log:delete', { dir: this.#dir, startOffset, records })
  }

  #lookAtTruncations(): void {
    const endOffset = this.#native.lowestEndSince(this.#truncations)
    if (endOffset === null) return
    const { truncations, startOffset } = this.#native
    this.#truncations = truncations
    // Where the log was to start anew, nothing was deleted by retention.
    this.#startOffset = startOffset
    if (isWatched('varve:log:truncate'))
      publish('varve:log:truncate', { dir: this.#dir, startOffset, endOffset })
  }

  #lookAtCompactions(): void {
    const { compactions } = this.#native
    if (compactions === this.#compactions) return
    const { replacedBytes, keptBytes } = this.#native.stats()
    const failure = this.#native.compactionFailure
    publish('varve:log:compact', {
      dir: this.#dir,
      replacedBytes: replacedBytes - this.#replacedBytes,
      keptBytes: keptBytes - this.#keptBytes,
      error: failure === null ? null : toError(failure),
    })
    this.#compactions = compactions
    this.#replacedBytes = replacedBytes
    this.#keptBytes = keptBytes
  }

  #lookAtFailure(): void {
    const { failure } = this.#native
    if (failure === null || this.#failed) return
    this.#failed = true
    const error = toError(failure)
    const name = error.code === 'VARVE_LOG_CORRUPT' ? 'varve:log:corrupt' : 'varve:log:failed'
    if (isWatched(name)) publish(name, { dir: this.#dir, error })
  }
}
