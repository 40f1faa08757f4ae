/** What runs on the thread of one of several brokers: the broker, which says and is asked everything through the main thread. */
import { parentPort, workerData } from 'node:worker_threads'
import { type Broker, type BrokerLog, metadataStoreThrough, startBroker } from '@varve/broker'
import type { AskedOfThread, ThreadData, ThreadFailure, ToldByThread } from './broker-thread.js'
import { hasTls } from './close-on-signal.js'
import { clusterOf, membershipOf } from './serve-cluster.js'
import { brokerOptionsOf } from './serve-options.js'

if (process.env['VARVE_DEBUG']) process.setSourceMapsEnabled(true)

const { options, configs, store } = workerData as ThreadData
const tell = (told: ToldByThread): void => parentPort!.postMessage(told)
const log: BrokerLog = (level, message, fields = {}) => tell({ kind: 'line', level, message, fields })
const cluster =
  store === null
    ? clusterOf(options)
    : { ...membershipOf(options), openStore: async () => metadataStoreThrough(store) }

function failed(error: unknown): void {
  const { message, code, stack } = error as Error & { code?: string }
  const failure: ThreadFailure = { message, code, stack }
  tell({ kind: 'failed', failure })
}

async function close(broker: Broker): Promise<void> {
  await broker.close()
  tell({ kind: 'closed' })
  parentPort!.close()
}

function serve(broker: Broker): void {
  const { address, admin, clusterId, dataDirectories, durability, listeners, problems, rack } = broker
  void broker.ended.then((reason) => reason !== null && failed(reason))
  const [isTls] = listeners.map(({ protocol }) => protocol === 'SSL')
  parentPort!.on('message', (asked: AskedOfThread) => {
    if (asked === 'close') close(broker).catch(failed)
    // What is wrong with the files is in the log.
    else broker.reloadCertificates().catch(() => {})
  })
  tell({
    kind: 'serves',
    facts: {
      address,
      admin,
      clusterId,
      dataDirectories,
      durability,
      problems,
      rack,
      isTls: isTls!,
      hasTls: hasTls(listeners, options.cluster),
    },
  })
}

startBroker(brokerOptionsOf(options, configs, cluster, log)).then(serve, failed)
