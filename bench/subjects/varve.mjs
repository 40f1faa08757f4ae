import { openLog } from '@varve/log'
import { encodeBatch } from '@varve/records'

/** Enough for the largest value and the batch around it; Kafka's own default would refuse 1 MiB. */
const MAX_BATCH_BYTES = 8 << 20

export async function open(dir, { durable }) {
  const log = await openLog(dir, {
    durability: durable ? 'fsync' : 'os',
    maxBatchBytes: MAX_BATCH_BYTES,
  })
  return {
    log,
    append: (value) => log.append([{ value }]),
    appendGroup: (values) => log.append(values.map((value) => ({ value }))),
    /** Batches of one record: appends of a tick would share some. */
    appendAlone: (values) => Promise.all(log.appendBatches(values.map((value) => encodeBatch([{ value }])))),
    get: async (index) => {
      for await (const { value } of log.read({ from: index, to: index + 1 })) return value
      throw new Error(`there is no record ${index}`)
    },
    async replay(visit) {
      for await (const { value } of log.read()) visit(value)
    },
    async replayByBatch(visit) {
      for await (const batch of log.readBatches({ reuseMemory: true }))
        for (const { value } of batch.records()) visit(value)
    },
    async replayBatches(visit) {
      for await (const { buffer } of log.readBatches({ reuseMemory: true })) visit(buffer)
    },
    count: () => log.endOffset - log.startOffset,
    close: () => log.close(),
  }
}
