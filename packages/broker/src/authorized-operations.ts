/** READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS: bit n is Kafka's operation n. */
export const allTopicOperations = bits(3, 4, 5, 6, 7, 8, 10, 11)

/** CREATE, ALTER, DESCRIBE, CLUSTER_ACTION, DESCRIBE_CONFIGS, ALTER_CONFIGS and IDEMPOTENT_WRITE. */
export const allClusterOperations = bits(5, 7, 8, 9, 10, 11, 12)

/** What is answered to a request that did not ask. */
export const operationsNotAsked = -(2 ** 31)

function bits(...numbers: number[]): number {
  return numbers.reduce((set, bit) => set | (1 << bit), 0)
}
