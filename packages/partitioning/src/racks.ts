import type { PlacementBroker } from './replica-placement.js'

/** How many of the brokers are on each rack. */
export function countRacks(brokers: Iterable<PlacementBroker>): Map<string | null, number> {
  const counts = new Map<string | null, number>()
  for (const { rack } of brokers) counts.set(rack, (counts.get(rack) ?? 0) + 1)
  return counts
}

/** Whether a partition with these replicas is on its racks as evenly as before once `to` has the replica of `from`. */
export function keepsRacks(
  replicas: ReadonlySet<PlacementBroker>,
  from: PlacementBroker,
  to: PlacementBroker,
): boolean {
  if (from.rack === to.rack) return true
  const onRack = countRacks(replicas)
  return (onRack.get(to.rack) ?? 0) < onRack.get(from.rack)!
}
