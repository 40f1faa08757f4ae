/** What has been appended to a partition on this broker. Kafka tells apart by which part the broker played. */
export class PartitionTraffic {
  #messagesIn = 0
  #bytesIn = 0
  #replicationBytesIn = 0

  /** Records of producers and groups, appended by the leader. */
  get messagesIn(): number {
    return this.#messagesIn
  }

  /** Their batches, as they came. */
  get bytesIn(): number {
    return this.#bytesIn
  }

  /** What a follower has appended of its leader's. */
  get replicationBytesIn(): number {
    return this.#replicationBytesIn
  }

  produced(messages: number, bytes: number): void {
    this.#messagesIn += messages
    this.#bytesIn += bytes
  }

  replicated(bytes: number): void {
    this.#replicationBytesIn += bytes
  }
}
