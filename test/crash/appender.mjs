/**
 * The process that the crash suites kill, disturb or cut off from its disk. It appends, follows its own log, and says on its
 * standard output what it was promised and what it was shown; another process keeps that. Node writes to a pipe
 * synchronously, so that a line has left this process before anything else happens in it.
 */
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
  /** How the process ends, if nobody ends it before. */
  end = 'close',
  options,
} = JSON.parse(process.argv[2])

const say = (...words) => void process.stdout.write(`${words.join(' ')}\n`)
const fail = (where, error) => say('error', where, error.code ?? error.stack.replaceAll('\n', ' '))

/** A value that shows by itself which record it is of, and whether it is whole. */
const valueOf = (id, bytes) => `${id}|`.repeat(Math.ceil(bytes / (id.length + 1)) + 1)
const idOf = (value) => value.toString().split('|', 1)[0]

async function append(log, lane) {
  let refused = false
  for (let n = 0; n < batches; n++) {
    const ids = Array.from({ length: 1 + (n % maxRecords) }, (_, k) => `${run}.${lane}.${n}.${k}`)
    const records = ids.map((id, k) => ({ value: valueOf(id, ((n + k) * 7919) % maxValueBytes) }))
    try {
      const { baseOffset } = await log.append(records)
      say('acknowledged', baseOffset, ...ids)
      if (refused) say('error', 'append', 'ACKNOWLEDGED_AFTER_A_FAILURE')
    } catch (error) {
      refused = true
      fail('append', error)
      // With a bound there are appends that a failed log must refuse.
      if (batches === Infinity) return
    }
    await new Promise(setImmediate)
  }
}

async function show(where, records) {
  try {
    for await (const { offset, value } of records) say('shown', offset, idOf(value))
  } catch (error) {
    fail(where, error)
  }
}

async function work(log) {
  say('opened', log.endOffset)
  const followed = show('follow', log.read({ from: log.startOffset, follow: true }))
  await Promise.all(Array.from({ length: lanes }, (_, lane) => append(log, lane)))
  await show('read', log.read())
  say('state', log.state)
  if (end === 'exit') process.exit()
  await log.close().catch((error) => fail('close', error))
  await followed
}

say('opening')
await openLog(dir, options).then(work, (error) => fail('open', error))
say('ended')
