/** Starts and closes brokers one after the other, and prints how many milliseconds it took. */
import { startBroker } from '@varve/broker'
import { median } from '../harness/statistics.mjs'

async function once() {
  const began = performance.now()
  const broker = await startBroker()
  const ready = performance.now() - began
  await broker.close()
  return { ready, all: performance.now() - began }
}

const first = await once()
const others = []
for (let i = 0; i < Number(process.argv[2]); i++) others.push(await once())
process.stdout.write(
  JSON.stringify({
    first: first.all,
    each: median(others.map(({ all }) => all)),
    ready: median(others.map(({ ready }) => ready)),
  }),
)
