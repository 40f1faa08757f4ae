/**
 * The process that the crash suites kill, disturb or cut off from its disk. It appends, follows its own log, changes it
 * elsewhere than at its end, and says on its standard output what it asks for, what it was promised and what it was shown;
 * another process keeps that. A line has left this process before anything else happens in it.
 */
import { writeFileSync } from 'node:fs'
import { openLog } from '@varve/log'

const {
  dir,
  /** Distinguishes the values of this process from those of others on the same log. */
  run,
  /** Loops that append at the same time, each waiting for its acknowledgements. */
  lanes = 1,
  /** Appends of each loop. */
  batches = Infinity,
  maxRecords = 3,
  maxValueBytes = 200,
  /** How many keys each loop has: its own, so that their order is that of the loop. */
  keys = 40,
  /** What the first loop does between its appends, again from the first when it is through. See `changes.ts`. */
  changes = [],
  /** The timestamp of its records. */
  timestamp,
  /** How the process ends, if nobody ends it before. */
  end = 'close',
  options,
} = JSON.parse(process.argv[2])

/** The kind of word behind which this process stops until it is told to go on: nothing else happens in it before. */
let stopBehind = null
process.stdin.setEncoding('utf8').on('data', (kind) => (stopBehind = kind))
process.stdin.unref?.()

// A stream would keep what a slow reader has not taken yet, and a process that has stopped would never say it.
const tell = (line) => writeFileSync(1, `${line}\n`)

function say(kind, ...words) {
  tell([kind, ...words].join(' '))
  if (kind !== stopBehind) return
  stopBehind = null
  tell('stopped')
  process.kill(process.pid, 'SIGSTOP')
}
const fail = (where, error) => say('error', where, error.code ?? error.stack.replaceAll('\n', ' '))

/** How often a truncation was asked for: whatever is appended from there on belongs behind the cut. */
let truncations = 0

/** A value that shows by itself which record it is of, and whether it is whole. */
const valueOf = (id, bytes) => `${id}|`.repeat(Math.ceil(bytes / (id.length + 1)) + 1)
const idOf = (value) => value.toString().split('|', 1)[0]

async function append(log, lane) {
  let refused = false
  let appended = 0
  const change = lane === 0 ? changing(log) : null
  for (let n = 0; n < batches; n++) {
    const records = Array.from({ length: 1 + (n % maxRecords) }, (_, k) => {
      const key = `${lane}.${(n * 7 + k) % keys}`
      const id = `${key}:${run}.${truncations}.${lane}.${n}.${k}`
      return { key, id, timestamp, value: valueOf(id, ((n + k) * 7919) % maxValueBytes) }
    })
    try {
      const { baseOffset } = await log.append(records)
      say('acknowledged', baseOffset, ...records.map(({ id }) => id))
      if (refused) say('error', 'append', 'ACKNOWLEDGED_AFTER_A_FAILURE')
    } catch (error) {
      refused = true
      fail('append', error)
      // With a bound there are appends that a failed log must refuse.
      if (batches === Infinity) return
    }
    await change?.(++appended)
    await new Promise(setImmediate)
  }
}

const CHANGES = {
  async truncate(log, part) {
    // As readers do, up to what is durable: a batch that nobody was promised may be cut off without a word.
    const [start, end] = [log.startOffset, log.durableOffset]
    const offset = end - 1 - Math.floor((end - start) * part)
    if (offset < start) return
    // Where the batch begins that is cut off as a whole, should nobody be left to say so.
    let cut = offset
    for await (const { baseOffset } of log.readBatches({ from: offset })) {
      cut = Math.min(cut, Math.max(baseOffset, start))
      break
    }
    say('truncating', ++truncations, cut)
    say('truncated', truncations, await log.truncateTo(offset))
  },
  async delete(log, part) {
    const offset = log.startOffset + Math.floor((log.durableOffset - log.startOffset) * part)
    say('deleting', offset)
    say('deleted', await log.deleteBefore(offset))
  },
  async retain(log) {
    say('retained', await log.applyRetention())
  },
  async compact(log) {
    say('compacted', await log.compact())
  },
}

function changing(log) {
  let [n, due] = [0, changes[0]?.after]
  return async (appended) => {
    if (due === undefined || appended < due) return
    const { kind, part } = changes[n]
    n = (n + 1) % changes.length
    due = appended + changes[n].after
    try {
      await CHANGES[kind](log, part)
    } catch (error) {
      fail(kind, error)
    }
  }
}

/** What ends a reading when the log changes under it; it begins anew then. */
const OVERTAKEN = ['VARVE_TRUNCATED', 'VARVE_OFFSET_OUT_OF_RANGE']

async function show(where, read) {
  for (;;) {
    try {
      for await (const { offset, value } of read()) say('shown', offset, idOf(value))
      return
    } catch (error) {
      if (changes.length === 0 || !OVERTAKEN.includes(error.code)) return fail(where, error)
      await new Promise(setImmediate)
    }
  }
}

async function work(log) {
  say('opened', log.startOffset, log.endOffset)
  // Before it changes anything: what it finds may not have been told to anybody yet.
  if (changes.length > 0) await show('read', () => log.read())
  const followed = show('follow', () => log.read({ from: log.startOffset, follow: true }))
  await Promise.all(Array.from({ length: lanes }, (_, lane) => append(log, lane)))
  await show('read', () => log.read())
  say('state', log.state)
  if (end === 'exit') process.exit()
  await log.close().catch((error) => fail('close', error))
  await followed
}

say('opening', run)
await openLog(dir, options).then(work, (error) => fail('open', error))
say('ended')
