import { VarveError } from '@varve/records'
import type { PartitionState } from '@varve/replication'

export function unopened(name: string): VarveError {
  return new VarveError('VARVE_LOG_CLOSED', `the log of ${name} is not open`)
}

export function notLeader(name: string): VarveError {
  return new VarveError('VARVE_NOT_LEADER', `this broker does not lead ${name}; ask for its leader again`)
}

export function tooFewReplicas(
  { isr, minInsyncReplicas }: PartitionState,
  name: string,
  appended = false,
): VarveError {
  return new VarveError(
    appended ? 'VARVE_NOT_ENOUGH_REPLICAS_AFTER_APPEND' : 'VARVE_NOT_ENOUGH_REPLICAS',
    `${isr.length} of the at least ${minInsyncReplicas} replicas of ${name} are in sync that acks=all needs`,
  )
}
