/**
 * Without --follow, `varve consume` prints what is there and ends. It used to end with the last record before the end
 * of the log; a log that ends in a transaction's marker, or in offsets that compaction removed, has no such record, and
 * the command waited for ever.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { crc32c, encodeBatch } from '@varve/records'
import { expect, onTestFinished, test } from 'vitest'
import { ScriptedCluster } from '../../client/test/scripted-cluster.js'

const bin = fileURLToPath(new URL('../bin/varve.mjs', import.meta.url))

/** The batch with some bytes changed, as a broker could send it: the CRC fits. */
function changed(batch: Buffer, change: (batch: Buffer) => void): Buffer {
  change(batch)
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
  return batch
}

const record = (value: string): Buffer => encodeBatch([{ value }])
const commitMarker = (): Buffer =>
  changed(encodeBatch([{ key: Buffer.from([0, 0, 0, 1]), value: Buffer.alloc(6) }]), (batch) => {
    const transactionalAndControl = 0x30
    batch.writeInt16BE(transactionalAndControl, 21)
  })
const followedByHole = (value: string): Buffer =>
  changed(record(value), (batch) => {
    const lastOffsetDeltaAt = 23
    batch.writeInt32BE(9, lastOffsetDeltaAt)
  })

test.for([
  { log: 'that ends in a marker', batches: [record('a'), commitMarker()], printed: 'a\n' },
  { log: 'of nothing but a marker', batches: [commitMarker()], printed: '' },
  { log: 'that ends in compacted offsets', batches: [record('a'), followedByHole('b')], printed: 'a\nb\n' },
  { log: 'with nothing in it', batches: [], printed: '' },
])('consume ends with a log $log', async ({ batches, printed }) => {
  await using cluster = await ScriptedCluster.start()
  cluster.topics['t'] = { leaders: [0, 0] }
  cluster.log('t', 1).append(record('other'))
  for (const batch of batches) cluster.log('t').append(batch)
  const child = spawn(process.execPath, [bin, 'consume', 't', '-b', cluster.addresses[0]!], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill())
  const output = text(child.stdout)
  expect(await once(child, 'exit')).toEqual([0, null])
  expect((await output).split('\n').toSorted()).toEqual(`other\n${printed}`.split('\n').toSorted())
})
