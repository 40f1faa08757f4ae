/** The sections of docs/performance-cluster.md, in its order; those at the end stop the clusters that the others share. */
import * as produce from './produce.mjs'
import * as latency from './latency.mjs'
import * as failover from './failover.mjs'
import * as partitions from './partitions.mjs'

export const sections = [produce, latency, failover, partitions]
