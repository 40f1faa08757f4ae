/**
 * A durable, append-only commit log in Apache Kafka's file format, embedded in the process: {@link openLog} for one
 * log, {@link openTopic} for a topic with partitions, {@link openDataDirectory} for several logs under one lock.
 *
 * @packageDocumentation
 */
export { openDataDirectory, type DataDirectory, type DataDirectoryOptions } from './data-directory.js'
export type {
  AppendOptions,
  AppendResult,
  CloseOptions,
  EpochEnd,
  Log,
  LogState,
  OffsetAndTimestamp,
  Recovered,
  SubscribeOptions,
} from './log.js'
export type { TopicRecord } from './merged-reader.js'
export type {
  AppendFailureEvent,
  CompactEvent,
  DeleteEvent,
  FlushEvent,
  LogCloseEvent,
  LogEvent,
  LogEvents,
  LogFailureEvent,
  LogOpenEvent,
  LogRecoveredEvent,
  RollEvent,
  TruncateEvent,
} from './diagnostics.js'
export {
  inspect,
  type Finding,
  type FindingKind,
  type InspectOptions,
  type LogInspection,
  type Repair,
  type SegmentInspection,
} from './inspect.js'
export type { Distribution, LogStats } from './stats.js'
export { openLog } from './open-log.js'
export { openTopic, type TopicOptions } from './open-topic.js'
export type { Visibility } from './isolation.js'
export type { CleanupPolicy, Durability, LogOptions, LogSettings, OpenLogOptions } from './options.js'
export { readPartitionMetadata, syncDirectory, writePartitionMetadata } from './partition-metadata-file.js'
export type { ReadStart } from './read-start.js'
export type { AbortedTransaction, LogTransactions, ProducerState } from './producers.js'
export type { ReadOptions } from './reader.js'
export { send, sendsFiles, unsentBytes, type SendOptions } from './send.js'
export type { SendToOptions, SentRange } from './send-to.js'
export type { Slice, SliceOptions } from './slice.js'
export { topicNameProblem } from './topic-name.js'
export type { TopicPartitioner } from './topic-partitioner.js'
export type { RecordPosition, Topic, TopicAppendOptions, TopicReadOptions } from './topic.js'
export {
  encodeBatch,
  encodeEndTransactionMarker,
  VarveError,
  type EncodeOptions,
  type EndTransactionMarker,
  type LogRecord,
  type ProducerFields,
  type RecordBatch,
  type RecordInput,
} from '@varve/records'
