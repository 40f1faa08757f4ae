import { count } from './counted.js'
import { Failure } from './failure.js'
import { printJson } from './table.js'
import { kafkaNameOf, withAdmin, type AdminCommandOptions } from './with-admin.js'

export interface UnregisterOptions extends AdminCommandOptions {
  force?: boolean
}

/** Has the cluster forget a broker that will not come back. */
export async function unregister(brokerId: number, options: UnregisterOptions): Promise<void> {
  await withAdmin(options, async (admin) => {
    if (!options.force) {
      const { nodes } = await admin.describeCluster()
      if (nodes.some(({ nodeId, isFenced }) => nodeId === brokerId && !isFenced))
        throw new Failure(`broker ${brokerId} is up. Stop it first, or give --force`)
      const replicas = (await admin.listTopics()).flatMap(({ partitions }) =>
        partitions.filter((partition) => partition.replicas.includes(brokerId)),
      )
      if (replicas.length > 0) {
        throw new Failure(
          `broker ${brokerId} has ${count(replicas.length, 'replica')}. Move them with: varve cluster drain ${brokerId}, or give --force`,
        )
      }
    }
    try {
      await admin.unregisterBroker(brokerId)
    } catch (error) {
      if (kafkaNameOf(error) !== 'BROKER_ID_NOT_REGISTERED') throw error
      throw new Failure(`there is no broker ${brokerId}. varve cluster status shows those that there are`, {
        cause: error,
      })
    }
    if (options.json) printJson({ unregistered: brokerId })
    else process.stdout.write(`Unregistered broker ${brokerId}\n`)
  })
}
