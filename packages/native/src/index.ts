/**
 * Loads the native addon. Nothing here is meant for applications: `@varve/log` is the API on top of it.
 *
 * @packageDocumentation
 */
import type { Binding, NativeProgress } from './binding.js'
import { loadBinding } from './load.js'

export type {
  Binding,
  DirectoryIdentity,
  DirectoryUse,
  Failure,
  NativeAbortedTransaction,
  NativeChangedLogs,
  NativeCodec,
  NativeDirectory,
  NativeDistribution,
  NativeFinding,
  NativeInspection,
  NativeLog,
  NativeLogConfig,
  NativeProducer,
  NativeProgress,
  NativeRepaired,
  NativeSegment,
  NativeSender,
  NativeSlice,
  NativeSocket,
  NativeStats,
  NativeWanted,
} from './binding.js'

const binding: Binding = loadBinding()

/** Creates what is missing, locks a data directory and removes its clean marker. */
export const openDirectory: Binding['openDirectory'] = binding.openDirectory

/** What tells of the changes of logs that are opened with it. */
export const openChangedLogs: Binding['openChangedLogs'] = binding.openChangedLogs

/** Replaces a partition's `partition.metadata`. */
export const writePartitionMetadata: Binding['writePartitionMetadata'] = binding.writePartitionMetadata

/** Opens a log to be read as it is, without a lock and without a change. */
export const openLogReadOnly: Binding['openLogReadOnly'] = binding.openLogReadOnly

/** Looks a log over, without a lock and without a change. */
export const inspectLog: Binding['inspectLog'] = binding.inspectLog

/** Names of the logs in a directory, without its lock. */
export const logsIn: Binding['logsIn'] = binding.logsIn

/** A progress to watch. */
export const newProgress = (): NativeProgress => new binding.NativeProgress()

/** CRC-32C of the bytes; `seed` is the checksum of the bytes in front of them. */
export const crc32c: Binding['crc32c'] = binding.crc32c

/** Compresses the concatenated records of a batch, framed as Kafka's Java client frames them. */
export const compress: Binding['compress'] = binding.compress

/** The inverse of {@link compress}, of at most `maxBytes`; reads the framing of any of Kafka's clients. */
export const decompress: Binding['decompress'] = binding.decompress

/** Starts what sends files to sockets; `undefined` where the system has no `epoll`. */
export const openSender: Binding['openSender'] = binding.openSender
