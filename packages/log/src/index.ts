/**
 * A durable, append-only commit log in Apache Kafka's file format, embedded in the process: {@link openLog} for one
 * log, {@link openDataDirectory} for several under one lock.
 *
 * @packageDocumentation
 */
export { openDataDirectory, type DataDirectory, type DataDirectoryOptions } from './data-directory.js'
export type { AppendOptions, AppendResult, Log, LogState, OffsetAndTimestamp, Recovered } from './log.js'
export { openLog } from './open-log.js'
export type { Durability, LogOptions } from './options.js'
export type { ReadOptions } from './reader.js'
export type { Slice, SliceOptions } from './slice.js'
export { VarveError, type LogRecord, type RecordBatch, type RecordInput } from '@varve/records'
