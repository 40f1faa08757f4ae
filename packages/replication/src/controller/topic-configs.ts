import { minInsyncReplicasConfig } from './minimum.js'

/** The configuration that allows a topic's partitions a leader that may lack committed records, rather than none. */
export const uncleanLeaderElectionConfig = 'unclean.leader.election.enable'

type Configs = Readonly<Record<string, string>>

/** `min.insync.replicas` of a topic, as configured. */
export function configuredMinimum(configs: Configs, byDefault: number): number {
  const own = configs[minInsyncReplicasConfig]
  return own === undefined ? byDefault : Number(own)
}

/** Whether a topic's partitions are given a leader that may lack committed records, rather than none. */
export function allowsUncleanElection(configs: Configs, byDefault: boolean): boolean {
  const own = configs[uncleanLeaderElectionConfig]
  return own === undefined ? byDefault : own === 'true'
}

/** Whether the controller can go by them. */
export function areValidConfigs(configs: Configs): boolean {
  const { [minInsyncReplicasConfig]: minimum, [uncleanLeaderElectionConfig]: unclean } = configs
  return (
    (minimum === undefined || /^[1-9]\d{0,8}$/.test(minimum)) &&
    (unclean === undefined || unclean === 'true' || unclean === 'false')
  )
}
