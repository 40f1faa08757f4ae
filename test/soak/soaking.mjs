/**
 * Appends at full speed, follows, rolls, deletes by retention or compacts until its time is over, and says now and then what
 * it needs. It ends with a line `missed …` when its reader was not shown what it must be: of a log that deletes every record
 * once and in order, of one that compacts of each key the last one.
 */
import { subscribe } from 'node:diagnostics_channel'
import { readdirSync } from 'node:fs'
import { openLog } from '@varve/log'

const { dir, seconds, samples, cleanupPolicy, segmentsAtMost } = JSON.parse(process.argv[2])
/** Records that are appended and not read yet: a reader that falls behind retention would miss some by design. */
const IN_FLIGHT = 5000
/** So many that a segment holds most of them only once: compaction has something to keep, too. */
const KEYS = 1000
const isCompacted = cleanupPolicy !== 'delete'
const options = {
  cleanupPolicy,
  segmentBytes: 1 << 20,
  durability: 'os',
  retentionBytes: 16 << 20,
  retentionCheckMs: 50,
  compactionCheckMs: 50,
}

const log = await openLog(dir, options)
const ends = Date.now() + seconds * 1000
const over = new AbortController()
let [appended, read, shown] = [0, 0, 0]
/** The number of the last record of each key, as appended and as followed. */
const [last, followedTo] = [1, 2].map(() => Array.from({ length: KEYS }, () => -1))
let isLast = false
let wake = () => {}
let wakeWhenCleaned = () => {}

/** Some keys come often and some seldom, as they do. */
const keyOf = (number) => Math.floor(((number * 7919) % KEYS) ** 2 / KEYS)

subscribe(isCompacted ? 'varve:log:compact' : 'varve:log:delete', () => wakeWhenCleaned())

/** Deleting and compacting wait for the disk, and appending to the page cache does not. */
const isAhead = () => log.stats().segments.count >= segmentsAtMost

let sampled = 0
/** On a machine that has much else to do the time may be over before there was anything to delete or compact, or to compare. */
const isThrough = () =>
  sampled > samples / 2 && (isCompacted ? log.stats().compaction.completed > 0 : log.startOffset > 0)

async function append() {
  for (let n = 0; Date.now() < ends || !isThrough(); n++) {
    const burst = Array.from({ length: 50 }, (_, k) => {
      const number = appended + k
      last[keyOf(number)] = number
      return log.append([{ key: `${keyOf(number)}`, value: `${number} ${'x'.repeat((n * 97 + k) % 1500)}` }])
    })
    appended += burst.length
    await Promise.all(burst)
    if (appended - read > IN_FLIGHT) await new Promise((resolve) => (wake = resolve))
    if (n % 20 !== 0) continue
    // Timers and the samples get their turn.
    await new Promise(setImmediate)
    while (isAhead()) await new Promise((resolve) => (wakeWhenCleaned = resolve))
  }
  isLast = true
  if (read === appended) over.abort()
}

function miss(what) {
  console.log(`missed ${what}`)
  process.exit(1)
}

/** The number in a record, which is its offset. */
function numberOf({ offset, key, value }) {
  const number = Number(value.toString('latin1', 0, 20).split(' ', 1)[0])
  if (offset !== number || Number(key) !== keyOf(number)) miss(`offset ${offset}: it has number ${number}`)
  return number
}

async function follow() {
  for await (const record of log.read({ from: 0, follow: true, signal: over.signal })) {
    const number = numberOf(record)
    if (number < read || (!isCompacted && number > read))
      miss(`record ${read}: number ${number} came instead`)
    followedTo[keyOf(number)] = number
    read = number + 1
    shown++
    if (appended - read <= IN_FLIGHT / 2) wake()
    if (isLast && read === appended) over.abort()
  }
}

/** Whoever followed a compacted log has seen the last record of every key, and whoever reads it now does. */
async function checkKeys() {
  const kept = Array.from({ length: KEYS }, () => -1)
  let records = 0
  for await (const record of log.read()) {
    kept[keyOf(record.offset)] = numberOf(record)
    records++
  }
  for (const [key, number] of last.entries()) {
    if (followedTo[key] !== number)
      miss(`number ${number} of key ${key}: ${followedTo[key]} was followed last`)
    if (kept[key] !== number) miss(`number ${number} of key ${key}: ${kept[key]} is there`)
  }
  console.log(`kept ${records}`)
}

function sample() {
  sampled++
  for (let n = 0; n < 3; n++) globalThis.gc()
  const descriptors = readdirSync('/proc/self/fd').length
  const { rss, heapUsed, external } = process.memoryUsage()
  const segments = readdirSync(dir).filter((name) => name.endsWith('.log')).length
  const { compaction } = log.stats()
  const told = { appended, read, shown, rss, heapUsed, external, descriptors, segments }
  console.log(
    `sample ${JSON.stringify({ ...told, start: log.startOffset, compactions: compaction.completed })}`,
  )
}

const sampling = setInterval(sample, (seconds * 1000) / samples)
const followed = follow().catch((error) => {
  if (!over.signal.aborted) throw error
})
await Promise.all([append(), followed])
clearInterval(sampling)
sample()
if (cleanupPolicy === 'compact') await checkKeys()
if (log.compactionFailure !== null) throw log.compactionFailure
await log.close()
console.log('ended')
