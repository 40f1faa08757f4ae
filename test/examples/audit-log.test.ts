/**
 * An audit log that cannot tell a forged entry from a true one is a diary. The forger here knows the file format: the
 * batches that are changed get correct checksums, so that the log itself sees nothing wrong.
 */
import { readFileSync, readdirSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { batchesIn, sealBatch, VarveError } from '@varve/records'
import { expect, test } from 'vitest'
import { AuditLog } from '../../examples/audit-log/audit-log.mjs'
import { temporaryDirectory } from '../support/tree.js'

const now = () => Date.UTC(2026, 0, 1)

async function trailOf(
  amounts: readonly number[],
): Promise<{ dir: string; head: { offset: number; hash: string } }> {
  const dir = temporaryDirectory()
  const audit = await AuditLog.open(dir, { now })
  // One by one, so that each entry is a batch of its own.
  for (const amount of amounts) {
    await audit.record({ actor: 'ada', action: 'pay', subject: 'invoice', details: { amount } })
  }
  const head = audit.head!
  await audit.close()
  return { dir, head }
}

/** Changes the bytes of the only segment. */
function forge(dir: string, change: (file: Buffer) => Buffer): void {
  const path = join(
    dir,
    readdirSync(dir).find((name) => name.endsWith('.log'))!,
  )
  writeFileSync(path, change(readFileSync(path)))
}

async function verifying(dir: string, noted?: { offset: number; hash: string }): Promise<number> {
  const audit = await AuditLog.open(dir)
  try {
    return await audit.verify(noted)
  } finally {
    await audit.close()
  }
}

test('a trail that nobody touched verifies, also after it was continued', async () => {
  const { dir, head } = await trailOf([1, 2, 3])
  const audit = await AuditLog.open(dir, { now })
  expect(audit.head).toEqual(head)
  await audit.record({ actor: 'bob', action: 'read', subject: 'invoice' })
  expect(await audit.verify(head)).toBe(4)
  const entries = []
  for await (const { offset, at, actor, action } of audit.entries())
    entries.push({ offset, at, actor, action })
  expect(entries.at(-1)).toEqual({ offset: 3, at: '2026-01-01T00:00:00.000Z', actor: 'bob', action: 'read' })
  await audit.close()
})

test('an entry that was edited, with a new checksum, is found', async () => {
  const { dir } = await trailOf([100, 200, 300])
  forge(dir, (file) => {
    for (const batch of batchesIn(file)) {
      const at = batch.buffer.indexOf('"amount":200')
      if (at === -1) continue
      batch.buffer.write('"amount":900', at)
      sealBatch(batch.buffer, 0, batch.buffer.length)
    }
    return file
  })
  await expect(verifying(dir)).rejects.toThrow('entry 1 does not match its hash')
})

test('an entry without a new checksum is not even read', async () => {
  const { dir } = await trailOf([100])
  forge(dir, (file) => {
    file.write('"amount":900', file.indexOf('"amount":100'))
    return file
  })
  const error: unknown = await verifying(dir).catch((error: unknown) => error)
  expect(VarveError.is(error) && error.code).toBe('VARVE_LOG_CORRUPT')
})

test('an entry that was taken out is missed', async () => {
  const { dir } = await trailOf([100, 200, 300])
  forge(dir, (file) => {
    const [first, , third] = [...batchesIn(file)].map((batch) => batch.buffer)
    return Buffer.concat([first!, third!])
  })
  await expect(verifying(dir)).rejects.toThrow('entry 1 is missing')
})

test('a trail that was cut short, or written anew, passes only for who noted no head', async () => {
  const { dir, head } = await trailOf([100, 200])
  const other = await trailOf([100, 900])
  expect(await verifying(other.dir)).toBe(2)
  await expect(verifying(other.dir, head)).rejects.toThrow('entry 1 is another one')

  const path = join(
    dir,
    readdirSync(dir).find((name) => name.endsWith('.log'))!,
  )
  const [first] = [...batchesIn(readFileSync(path))]
  truncateSync(path, first!.buffer.length)
  expect(await verifying(dir)).toBe(1)
  await expect(verifying(dir, head)).rejects.toThrow('entry 1 is missing')
})

test('an entry that is too large is refused and breaks no chain', async () => {
  const audit = await AuditLog.open(temporaryDirectory())
  await audit.record({ actor: 'ada', action: 'login', subject: 'a' })
  const details = 'x'.repeat(70_000)
  await expect(audit.record({ actor: 'ada', action: 'pay', subject: 'b', details })).rejects.toThrow(
    RangeError,
  )
  await audit.record({ actor: 'ada', action: 'logout', subject: 'a' })
  expect(await audit.verify(audit.head)).toBe(2)
  await audit.close()
})
