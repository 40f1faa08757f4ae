import { openDataDirectory } from '@varve/log'
import { type Broker, openBroker } from './broker.js'
import { type BrokerOptions, resolveOptions } from './broker-options.js'

/**
 * Starts a broker that Kafka clients can connect to at `broker.address` when the promise resolves.
 *
 * Without options it listens on a free port of 127.0.0.1 and keeps its data in a temporary directory, gone after
 * `close()`. A partition that cannot be opened does not stop the start; `broker.problems` names it.
 *
 * @throws VarveError
 * - `VARVE_INVALID_OPTION`, `VARVE_INVALID_LISTENER`: an option has an impossible value.
 * - `VARVE_PORT_IN_USE`, `VARVE_PORT_NOT_PERMITTED`, `VARVE_ADDRESS_NOT_AVAILABLE`: it cannot listen where it should.
 * - `VARVE_LOCKED`, `VARVE_NOT_WRITABLE`, `VARVE_META_MISMATCH`: the data directory is in use by another process, cannot
 *   be written, or belongs to another node or cluster.
 * - `VARVE_FOREIGN_DIRECTORY`: the data directory has partitions, and no metadata of ours that names their topics.
 * - `VARVE_METADATA_CORRUPT`: the log of the broker's own metadata is damaged.
 */
export async function startBroker(options: BrokerOptions = {}): Promise<Broker> {
  return await openBroker(resolveOptions(options), { openDataDirectory })
}
