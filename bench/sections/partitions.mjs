/** One topic, its appends spread over partitions, and the partitions over data directories. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { appendFor } from '../harness/appending.mjs'
import { timed } from '../harness/clock.mjs'
import { Payload } from '../harness/payload.mjs'
import * as show from '../report/figures.mjs'

export const name = 'partitions'
export const title = 'Partitions'

const VALUE_BYTES = 1024
const IN_FLIGHT = 1024
const MOST_BYTES = 512 << 20

export function cells({ full }) {
  const spreads = [
    { partitions: 1, directories: 1 },
    { partitions: 30, directories: 1 },
    { partitions: 30, directories: 2 },
    ...(full ? [{ partitions: 300, directories: 1 }] : []),
  ]
  return ['os', 'fsync'].flatMap((durability) =>
    spreads.map(({ partitions, directories }) => ({
      id: `'${durability}', ${partitions} ${partitions === 1 ? 'partition' : 'partitions'}, ${directories} ${directories === 1 ? 'directory' : 'directories'}`,
      subjects: ['varve'],
      parameters: { durability, partitions, directories },
    })),
  )
}

export async function measure(_, { durability, partitions, directories }, { dir, milliseconds }) {
  const { openTopic } = await import('@varve/log')
  const places = Array.from({ length: directories }, (_, n) => join(dir, `disk${n}`))
  for (const place of places) mkdirSync(place)
  const topic = await openTopic(places, 'measured', { partitions, partitioner: 'round-robin', durability })
  const payload = new Payload(VALUE_BYTES)
  const store = { append: (value) => topic.append([{ value }]) }
  const appendDuring = (milliseconds) =>
    appendFor(store, payload, { inFlight: IN_FLIGHT, milliseconds, maxBytes: MOST_BYTES })
  const { count: warmUp } = await appendDuring(milliseconds / 3)
  const { result, seconds, cpuSeconds } = await timed(() => appendDuring(milliseconds))
  let found = 0
  for (let index = 0; index < partitions; index++) found += topic.partition(index).endOffset
  await topic.close()
  const acknowledged = warmUp + result.count
  if (found !== acknowledged)
    throw new Error(`${acknowledged} records were acknowledged and ${found} are there`)
  return {
    perSecond: result.count / seconds,
    cpuMicrosecondsPerRecord: (cpuSeconds * 1e6) / result.count,
    latencies: result.latencies,
  }
}

export function tables(measured) {
  const done = measured.filter(({ subjects: { varve } }) => varve?.median !== undefined)
  return [
    {
      name: 'partitions',
      title: 'Appends to a topic',
      text: `1 KB records, ${show.count(IN_FLIGHT)} in flight, one an \`append\`, to the partitions in turn. The data directories are on one disk here: what is seen is what a second one costs, not what a second disk brings.`,
      header: ['', 'records', 'CPU a record', 'p50', 'p99'],
      rows: done.map(({ id, subjects: { varve } }) => [
        id,
        show.perSecond(varve.median.perSecond),
        show.microseconds(varve.median.cpuMicrosecondsPerRecord),
        show.microseconds(varve.median.latencies.p50),
        show.microseconds(varve.median.latencies.p99),
      ]),
      chart: {
        groups: ['os', 'fsync'].map((durability) => ({
          title: `'${durability}'`,
          bars: done
            .filter(({ parameters }) => parameters.durability === durability)
            .map(({ id, subjects: { varve } }) => ({
              title: id.slice(id.indexOf(',') + 2),
              value: varve.median.perSecond,
              text: show.perSecond(varve.median.perSecond),
              isOurs: true,
            })),
        })),
      },
    },
  ]
}
