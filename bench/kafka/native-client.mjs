/** The light client (native/load): whole requests built beforehand over bare sockets, so that the broker is the limit. */
import { loadProgram } from '../../scripts/load.mjs'
import { ClientProcess } from './client-process.mjs'

/** Values of records; what it sends is described in native/load/src/job.rs. */
export const RECORD_BYTES = 1024

/** How batches are filled: what fits into the 16 KB of Kafka's default, into the largest that a broker takes by default, or one record. */
export const BATCHES = { '16 KB': 15, '1 MB': 960, 'one record': 1 }

/**
 * Does a job of native/load against a broker; resolves with its figures and the broker's CPU time.
 *
 * @param {import('./broker.mjs').Broker} broker
 * @param {object} job
 */
export async function nativeClient(broker, job) {
  const { figures, brokerCpuSeconds } = await nativeClients(broker, [job])
  return { ...figures[0], brokerCpuSeconds }
}

/**
 * The same with several jobs, each in a process of its own, which begin together.
 *
 * @param {{ address: string, charged: Function }} broker
 * @param {readonly object[]} jobs
 */
export async function nativeClients(broker, jobs) {
  const clients = jobs.map(
    (job) => new ClientProcess(loadProgram, [JSON.stringify({ address: broker.address, ...job })]),
  )
  for (const client of clients) {
    const ready = await client.firstLine()
    if (ready !== 'ready') throw new Error(`the load began with ${ready}`)
  }
  const { result, brokerCpuSeconds } = await broker.charged(() => {
    for (const client of clients) {
      client.write('\n')
      client.closeInput()
    }
    return Promise.all(clients.map((client) => client.end()))
  })
  return { figures: result.map(({ output }) => JSON.parse(output.split('\n')[1])), brokerCpuSeconds }
}

/** What batches of a produce job are made of. */
export const batchesOf = (
  topics,
  { acks = 'all', batch = '16 KB', codec = 'none', batchesPerRequest = 1 },
) => ({
  topics,
  acks: acks === 'all' ? -1 : acks,
  recordsPerBatch: BATCHES[batch],
  recordBytes: RECORD_BYTES,
  codec,
  batchesPerRequest,
})

/** Connections that are open and want nothing while `body` runs. */
export async function whileConnected(broker, connections, body) {
  const job = { kind: 'idle', address: broker.address, connections }
  const client = new ClientProcess(loadProgram, [JSON.stringify(job)])
  await client.firstLine()
  const result = await body()
  client.write('\n')
  client.closeInput()
  const { output } = await client.end()
  const kept = JSON.parse(output.split('\n')[1]).connections
  if (kept !== connections) throw new Error(`${kept} of ${connections} connections were kept`)
  return result
}
