/** Records a morning at the office, verifies it, and shows what a forger cannot do. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AuditLog } from './audit-log.mjs'

const dir = process.argv[2] ?? (await mkdtemp(join(tmpdir(), 'audit-log-')))
const audit = await AuditLog.open(dir)

const [, , approval] = await Promise.all([
  audit.record({ actor: 'ada', action: 'login', subject: 'session/1', details: { from: '192.0.2.7' } }),
  audit.record({ actor: 'ada', action: 'read', subject: 'invoice/42' }),
  audit.record({ actor: 'ada', action: 'approve', subject: 'invoice/42', details: { amount: 1200 } }),
])
for await (const { offset, actor, action, subject } of audit.entries()) {
  console.log(`${offset}  ${actor}  ${action}  ${subject}`)
}
console.log(`${await audit.verify()} entries, all as they were written`)

await audit.verify(approval)
console.log('and the approval is the one that was noted')
await audit.verify({ ...approval, hash: 'f'.repeat(64) }).catch((error) => console.log(error.message))

await audit.close()
if (process.argv[2] === undefined) await rm(dir, { recursive: true })
