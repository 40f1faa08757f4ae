/**
 * Appends at full speed, follows, rolls and deletes by retention until its time is over, and says now and then what it
 * needs. It ends with a line `missed …` when its reader was not shown every record once and in order.
 */
import { readdirSync } from 'node:fs'
import { openLog } from '@varve/log'

const { dir, seconds, samples } = JSON.parse(process.argv[2])
/** Records that are appended and not read yet: a reader that falls behind retention would miss some by design. */
const IN_FLIGHT = 5000
const options = { segmentBytes: 1 << 20, retentionBytes: 16 << 20, retentionCheckMs: 50, durability: 'os' }

const log = await openLog(dir, options)
const ends = Date.now() + seconds * 1000
const over = new AbortController()
let [appended, read] = [0, 0]
let isLast = false
let wake = () => {}

async function append() {
  // On a machine that has much else to do the time may be over before anything was deleted.
  for (let n = 0; Date.now() < ends || log.startOffset === 0; n++) {
    const burst = Array.from({ length: 50 }, (_, k) =>
      log.append([{ value: `${appended + k} ${'x'.repeat((n * 97 + k) % 1500)}` }]),
    )
    appended += burst.length
    await Promise.all(burst)
    if (appended - read > IN_FLIGHT) await new Promise((resolve) => (wake = resolve))
    // Timers and the samples get their turn.
    if (n % 20 === 0) await new Promise(setImmediate)
  }
  isLast = true
  if (read === appended) over.abort()
}

async function follow() {
  const records = log.read({ from: 0, follow: true, signal: over.signal })
  for await (const { offset, value } of records) {
    const number = Number(value.toString('latin1', 0, 20).split(' ', 1)[0])
    if (offset !== read || number !== read) {
      console.log(`missed record ${read}: offset ${offset} with number ${number} came instead`)
      process.exit(1)
    }
    read++
    if (appended - read <= IN_FLIGHT / 2) wake()
    if (isLast && read === appended) over.abort()
  }
}

function sample() {
  for (let n = 0; n < 3; n++) gc()
  const descriptors = readdirSync('/proc/self/fd').length
  const { rss, heapUsed, external } = process.memoryUsage()
  const held = readdirSync(dir).filter((name) => name.endsWith('.log')).length
  const told = {
    appended,
    read,
    rss,
    heapUsed,
    external,
    descriptors,
    segments: held,
    start: log.startOffset,
  }
  console.log(`sample ${JSON.stringify(told)}`)
}

const sampling = setInterval(sample, (seconds * 1000) / samples)
const followed = follow().catch((error) => {
  if (!over.signal.aborted) throw error
})
await Promise.all([append(), followed])
clearInterval(sampling)
sample()
await log.close()
console.log('ended')
