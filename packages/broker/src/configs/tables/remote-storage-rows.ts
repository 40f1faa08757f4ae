import { anything, atLeast } from '../config-check.js'
import type { BrokerConfigRow } from '../config-definition.js'

/** Configurations of the broker that concern remote storage, which there is none of. Names, types, defaults and checks are those of Apache Kafka 4.4. */
// oxfmt-ignore
export const remoteStorageRows: readonly BrokerConfigRow[] = [
  ['log.local.retention.bytes', 'LONG', '-2', atLeast(-2), 'MEDIUM', 'fixed', 'local.retention.bytes of topics that have none of their own.'],
  ['log.local.retention.ms', 'LONG', '-2', atLeast(-2), 'MEDIUM', 'fixed', 'local.retention.ms of topics that have none of their own.'],
  ['log.remote.copy.lag.bytes', 'LONG', '-1', atLeast(-1), 'MEDIUM', 'fixed', 'remote.copy.lag.bytes of topics that have none of their own.'],
  ['log.remote.copy.lag.ms', 'LONG', '0', atLeast(-1), 'MEDIUM', 'fixed', 'remote.copy.lag.ms of topics that have none of their own.'],
  ['remote.fetch.max.wait.ms', 'INT', '500', atLeast(1), 'MEDIUM', 'fixed', 'How long a fetch waits for remote storage.'],
  ['remote.list.offsets.request.timeout.ms', 'LONG', '30000', atLeast(1), 'MEDIUM', 'fixed', 'How long looking up an offset in remote storage may take.'],
  ['remote.log.index.file.cache.total.size.bytes', 'LONG', '1073741824', atLeast(1), 'LOW', 'fixed', 'Disk space for indexes of remote segments.'],
  ['remote.log.manager.copier.thread.pool.size', 'INT', '10', atLeast(1), 'MEDIUM', 'fixed', 'Threads that copy segments to remote storage.'],
  ['remote.log.manager.copy.max.bytes.per.second', 'LONG', '9223372036854775807', atLeast(1), 'MEDIUM', 'fixed', 'What may be copied to remote storage in a second.'],
  ['remote.log.manager.copy.quota.window.num', 'INT', '11', atLeast(1), 'MEDIUM', 'fixed', 'Samples of the quota for copying to remote storage.'],
  ['remote.log.manager.copy.quota.window.size.seconds', 'INT', '1', atLeast(1), 'MEDIUM', 'fixed', 'Length of a sample of the quota for copying to remote storage.'],
  ['remote.log.manager.expiration.thread.pool.size', 'INT', '10', atLeast(1), 'MEDIUM', 'fixed', 'Threads that delete from remote storage.'],
  ['remote.log.manager.fetch.max.bytes.per.second', 'LONG', '9223372036854775807', atLeast(1), 'MEDIUM', 'fixed', 'What may be read from remote storage in a second.'],
  ['remote.log.manager.fetch.quota.window.num', 'INT', '11', atLeast(1), 'MEDIUM', 'fixed', 'Samples of the quota for reading remote storage.'],
  ['remote.log.manager.fetch.quota.window.size.seconds', 'INT', '1', atLeast(1), 'MEDIUM', 'fixed', 'Length of a sample of the quota for reading remote storage.'],
  ['remote.log.manager.follower.thread.pool.size', 'INT', '2', atLeast(1), 'MEDIUM', 'fixed', 'Threads with which followers look into remote storage.'],
  ['remote.log.manager.task.interval.ms', 'LONG', '30000', atLeast(1), 'LOW', 'fixed', 'How often it is looked what is to be copied or deleted.'],
  ['remote.log.manager.thread.pool.size', 'INT', '2', atLeast(1), 'MEDIUM', 'fixed', 'Threads for all else that has to do with remote storage.'],
  ['remote.log.metadata.custom.metadata.max.bytes', 'INT', '128', atLeast(0), 'LOW', 'fixed', 'How much a plug-in may note of each remote segment.'],
  ['remote.log.metadata.manager.class.name', 'STRING', 'org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager', anything, 'MEDIUM', 'fixed', 'A Java class that keeps the metadata of remote segments.'],
  ['remote.log.metadata.manager.class.path', 'STRING', null, anything, 'MEDIUM', 'fixed', 'Where that class is found.'],
  ['remote.log.metadata.manager.impl.prefix', 'STRING', 'rlmm.config.', anything, 'MEDIUM', 'fixed', "How the names of that class's configurations begin."],
  ['remote.log.metadata.manager.listener.name', 'STRING', null, anything, 'MEDIUM', 'fixed', 'The listener that the class connects to.'],
  ['remote.log.reader.max.pending.tasks', 'INT', '100', atLeast(1), 'MEDIUM', 'fixed', 'How many readings of remote storage may wait.'],
  ['remote.log.reader.threads', 'INT', '10', atLeast(1), 'MEDIUM', 'fixed', 'Threads that read remote storage.'],
  ['remote.log.storage.manager.class.name', 'STRING', null, anything, 'MEDIUM', 'fixed', 'A Java class that stores segments remotely.'],
  ['remote.log.storage.manager.class.path', 'STRING', null, anything, 'MEDIUM', 'fixed', 'Where that class is found.'],
  ['remote.log.storage.manager.impl.prefix', 'STRING', 'rsm.config.', anything, 'MEDIUM', 'fixed', "How the names of that class's configurations begin."],
  ['remote.log.storage.system.enable', 'BOOLEAN', 'false', anything, 'MEDIUM', 'fixed', 'Whether there is remote storage.'],
]
