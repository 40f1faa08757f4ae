/** Opens what a log or a data directory of many files needs, under the descriptor limit that its shell has set. */
import { readdirSync } from 'node:fs'
import { openDataDirectory, openLog } from '@varve/log'

const { kind, dir, count, durability = 'os' } = JSON.parse(process.argv[2])
const say = (value) => console.log(JSON.stringify(value))
const descriptors = () => readdirSync('/proc/self/fd').length

async function segments() {
  const options = { segmentBytes: 256, durability }
  const log = await openLog(dir, options)
  for (let n = 0; n < count; n++) await log.append([{ value: `${n} ${'x'.repeat(120)}` }])
  await log.close()
  const again = await openLog(dir, options)
  let next = 0
  for await (const { value } of again.read()) if (value.toString().startsWith(`${next} `)) next++
  say({ read: next, end: again.endOffset, descriptors: descriptors() })
  await again.close()
}

async function partitions() {
  const directory = await openDataDirectory(dir)
  const logs = []
  for (let n = 0; n < count; n++) logs.push(await directory.openLog(`topic-${n}`, { durability }))
  let most = descriptors()
  for (let round = 0; round < 3; round++) {
    await Promise.all(logs.map((log, n) => log.append([{ value: `${n} ${round}` }])))
    most = Math.max(most, descriptors())
  }
  let read = 0
  for (const [n, log] of logs.entries()) {
    let round = 0
    for await (const { value } of log.read()) if (value.toString() === `${n} ${round++}`) read++
  }
  say({ read, descriptors: Math.max(most, descriptors()) })
  await directory.close()
  say({ closed: descriptors() })
}

await (kind === 'segments' ? segments() : partitions())
