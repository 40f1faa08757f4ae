import { Counter, Gauge, type Registry } from 'prom-client'
import type { GroupState } from '../groups/group.js'
import type { GroupCoordinator } from '../groups/group-coordinator.js'

const states: readonly GroupState[] = ['Empty', 'PreparingRebalance', 'CompletingRebalance', 'Stable', 'Dead']

/** Registers what groups are doing; the returned function looks at them, for a scrape. */
export function groupMetrics(registry: Registry, groups: GroupCoordinator): () => void {
  const registers = [registry]
  const manager = 'kafka_coordinator_group_groupmetadatamanager_'
  const gauge = (name: string, help: string): Gauge =>
    new Gauge({ name: `${manager}${name}`, help, registers })
  const all = gauge('numgroups', 'Groups of consumers.')
  const offsets = gauge('numoffsets', 'Offsets that groups have committed.')
  const inState = new Map(
    states.map((state) => [state, gauge(`numgroups${state.toLowerCase()}`, `Groups that are ${state}.`)]),
  )
  const rebalances = new Counter({
    name: 'kafka_server_group_coordinator_metrics_group_completed_rebalance_count',
    help: 'Rebalances that have come to an assignment since the start.',
    registers,
  })
  return () => {
    const counts = new Map<GroupState, number>()
    let committed = 0
    for (const group of groups.loaded()) {
      counts.set(group.state, (counts.get(group.state) ?? 0) + 1)
      committed += group.offsets.size
    }
    for (const [state, metric] of inState) metric.set(counts.get(state) ?? 0)
    all.set([...counts.values()].reduce((sum, count) => sum + count, 0))
    offsets.set(committed)
    rebalances.reset()
    rebalances.inc(groups.completedRebalances)
  }
}
