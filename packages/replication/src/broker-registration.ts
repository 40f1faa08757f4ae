/**
 * What the metadata store holds of a broker that is alive, under `/brokers/<id>` and on the broker's lease. It vanishes with the
 * lease; a broker without one is fenced, as is one whose registration says so (KIP-841).
 */
export interface BrokerRegistration {
  /** Which broker it is, from 0 on. */
  readonly brokerId: number
  /**
   * The revision at which this registration was first put: every start and every new lease has one of its own (KIP-903's broker
   * epoch).
   */
  readonly brokerEpoch: number
  /** The revision of the registration as it is now, for comparisons. */
  readonly revision: number
  /** The process; two with one id take turns only if they have the same `directoryId`. */
  readonly incarnationId: string
  /** Of its data, so that another machine with the same broker id is told from this one after a restart. */
  readonly directoryId: string
  /** Placement and reads from followers go by it (KIP-36, KIP-392); null when it has none. */
  readonly rack: string | null
  /** `host:port` by listener, as clients and brokers reach it. */
  readonly endpoints: Readonly<Record<string, string>>
  /** Whether it may have lost records that it once reported to have; see `mayHaveLostRecords`. */
  readonly mayHaveLostRecords: boolean
  /** Until the controller has taken note of this registration the broker is neither elected nor taken into an in-sync set. */
  readonly fenced: boolean
  /** It is about to stop: it gets no leadership and leaves the in-sync sets (KIP-841). */
  readonly shuttingDown: boolean
  /** The replicas, as `topicId:partition`, whose logs have failed on this broker. */
  readonly offlineReplicas: readonly string[]
  /** The store's lease that the registration ends with. */
  readonly lease: string
}
