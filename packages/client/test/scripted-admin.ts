import { onTestFinished } from 'vitest'
import { Admin, type AdminOptions } from '../src/admin.js'
import { ScriptedCluster } from './scripted-cluster.js'

/** Brokers that do as the test says, and somebody to ask them. */
export async function startAdmin(
  count = 1,
  options: Partial<AdminOptions> = {},
  versions: Record<string, [number, number] | null> = {},
): Promise<{ cluster: ScriptedCluster; admin: Admin }> {
  const cluster = await ScriptedCluster.start(count, { versions })
  onTestFinished(() => cluster.stop())
  const admin = new Admin({ brokers: cluster.addresses, ...options })
  onTestFinished(() => admin.close())
  return { cluster, admin }
}

/** FindCoordinator as all brokers answer it: each group at the node that the test names. */
export function coordinate(cluster: ScriptedCluster, nodeOf: (groupId: string) => number): void {
  const answer = (key: string): any => {
    const nodeId = nodeOf(key)
    return {
      key,
      nodeId,
      host: '127.0.0.1',
      port: cluster.brokers[nodeId]!.port,
      errorCode: 0,
      errorMessage: null,
    }
  }
  for (const broker of cluster.brokers) {
    broker.on('FindCoordinator', ({ version, body }) =>
      version >= 4
        ? { throttleTimeMs: 0, coordinators: body.coordinatorKeys.map(answer) }
        : { throttleTimeMs: 0, ...answer(body.key) },
    )
  }
}
