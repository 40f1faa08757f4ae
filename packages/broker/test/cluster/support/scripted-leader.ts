import type { FetchRequestInput, FetchResponse } from '@varve/protocol'
import type { PartitionAnswer } from '../../../src/cluster/followed-partition.js'
import type { FetchConnection } from '../../../src/cluster/replica-fetcher.js'
import { batchOf, until } from '../../support/test-broker.js'

interface Asked {
  readonly body: FetchRequestInput
  readonly resolve: (response: FetchResponse) => void
  readonly reject: (error: unknown) => void
}

/** The other end of a fetcher's connections: shows what is asked for, and answers when a test says so. */
export class ScriptedLeader {
  readonly #asked: Asked[] = []
  /** Requests that have come on all connections. */
  requests = 0
  /** Answers whose memory may be used again. */
  released = 0
  dials = 0
  closed = 0

  readonly dial = async (): Promise<FetchConnection> => {
    this.dials++
    const requestFrame = async (_: unknown, asked: FetchRequestInput) => {
      const body = await new Promise<FetchResponse>((resolve, reject) => {
        this.requests++
        this.#asked.push({ body: asked, resolve, reject })
      })
      return { body, release: () => void this.released++ }
    }
    return {
      requestFrame: requestFrame as FetchConnection['requestFrame'],
      close: () => void this.closed++,
    }
  }

  /** Requests that have no answer. */
  get waiting(): readonly FetchRequestInput[] {
    return this.#asked.map(({ body }) => body)
  }

  /** The next request, once it has come. */
  async next(): Promise<FetchRequestInput> {
    await until(() => this.#asked.length > 0, 'the leader is asked')
    return this.#asked[0]!.body
  }

  /** Answers the earliest request, once it has come. */
  async answer(partitions: readonly Partial<PartitionAnswer>[], errorCode = 0): Promise<FetchRequestInput> {
    const body = await this.next()
    const { resolve } = this.#asked.shift()!
    const topicId = 'AAAAAAAAAAAAAAAAAAAAAA'
    const answers = partitions.map((partition) => ({ ...nothing, ...partition }))
    const responses = answers.length === 0 ? [] : [{ topic: '', topicId, partitions: answers }]
    resolve({ throttleTimeMs: 0, errorCode, sessionId: 7, responses, nodeEndpoints: [] } as FetchResponse)
    return body
  }

  /** Ends the connection. */
  reset(error: Error): void {
    for (const { reject } of this.#asked.splice(0)) reject(error)
  }
}

/** One batch as a leader of that epoch has it, from an offset on. */
export function ledBatch(baseOffset: number, leaderEpoch: number, ...values: string[]): Buffer {
  const bytes = batchOf(...values)
  bytes.writeBigInt64BE(BigInt(baseOffset), 0)
  bytes.writeInt32BE(leaderEpoch, 12)
  return bytes
}

/** What a request asks for, by partition. */
export function askedIn({ topics }: FetchRequestInput): [partition: number, offset: number][] {
  return (topics ?? []).flatMap(({ partitions }) =>
    partitions.map(({ partition, fetchOffset }): [number, number] => [partition!, Number(fetchOffset)]),
  )
}

/** What a request takes out of its session, by partition. */
export function forgottenIn({ forgottenTopicsData }: FetchRequestInput): number[] {
  return (forgottenTopicsData ?? []).flatMap(({ partitions }) => [...partitions!])
}

const nothing = {
  partitionIndex: 0,
  errorCode: 0,
  highWatermark: 0,
  lastStableOffset: 0,
  logStartOffset: 0,
  divergingEpoch: { epoch: -1, endOffset: -1 },
  currentLeader: { leaderId: -1, leaderEpoch: -1 },
  snapshotId: { endOffset: -1, epoch: -1 },
  abortedTransactions: null,
  preferredReadReplica: -1,
  records: null,
}
