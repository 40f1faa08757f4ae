import { count } from './counted.js'
import { rebalance, type RebalanceOptions } from './rebalance.js'
import { withAdmin } from './with-admin.js'

/** A broker that is there. */
interface Joined {
  readonly nodeId: number
  readonly rack: string | null
}

/** Says how a broker joins; one that has joined is given its share of the replicas. */
export async function addBroker(brokerId: number | null, options: RebalanceOptions): Promise<void> {
  const nodes = await withAdmin(options, async (admin) => (await admin.describeCluster()).nodes)
  if (brokerId !== null && nodes.some(({ nodeId }) => nodeId === brokerId)) return await rebalance(options)
  process.stdout.write(joiningText(brokerId ?? 1 + Math.max(...nodes.map(({ nodeId }) => nodeId)), nodes))
  if (brokerId !== null) process.exitCode = 1
}

/** What is to be done on the machine of a broker that is not there yet. */
export function joiningText(brokerId: number, nodes: readonly Joined[]): string {
  const racks = [...new Set(nodes.map(({ rack }) => rack).filter((rack) => rack !== null))].sort()
  const there = nodes.map(({ nodeId, rack }) => `${nodeId}${rack === null ? '' : ` (rack ${rack})`}`)
  const rack =
    racks.length === 0
      ? 'No broker has a rack, so leave --rack out, or give it to all of them.'
      : `Replicas are spread over ${count(racks.length, 'rack')}: ${racks.join(', ')}. Give it the one where it stands.`
  return `Broker ${brokerId} is not there; ${there.join(', ')} ${nodes.length === 1 ? 'is' : 'are'}. On its machine, with the --cluster that the others have:

  varve serve --cluster etcd://HOST:PORT/PREFIX --broker-id ${brokerId}${racks.length === 0 ? '' : ' --rack RACK'} --data DIRECTORY \\
    --host 0.0.0.0 --advertised-listeners PLAINTEXT://NAME-OF-THE-MACHINE:9092

${rack}
It has no replicas then but those of new topics. Its share of the others it is given by: varve cluster add ${brokerId}
`
}
