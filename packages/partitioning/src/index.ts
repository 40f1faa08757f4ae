export { murmur2, toPositive } from './murmur2.js'
export {
  defaultPartitioner,
  keyPartition,
  PartitioningError,
  roundRobin,
  sticky,
  type Partitioner,
  type Random,
} from './partitioner.js'
