/** Appends with a number of them in flight until the time or the bytes are used up. */
import { nanoseconds } from './clock.mjs'
import { Latencies } from './latencies.mjs'

/** Looking at the clock costs as much as a small append: of many callers only every so many look at it. */
const LOOKING = 16

/**
 * `inFlight` callers, each awaiting its own append before the next; where a store knows only groups, groups of
 * `inFlight`, one behind the other, so that all of a group are in flight until it is acknowledged.
 */
export async function appendFor(store, payload, { inFlight, milliseconds, maxBytes }) {
  const { length: valueBytes } = payload.value(0)
  const most = Math.floor(maxBytes / valueBytes)
  const latencies = new Latencies()
  const until = nanoseconds() + milliseconds * 1e6
  let issued = 0
  const state = { running: true }

  const watched = async (append) => {
    const start = nanoseconds()
    await append()
    const end = nanoseconds()
    latencies.record(end - start)
    if (end >= until || issued >= most) state.running = false
  }

  if (store.append === undefined) {
    while (state.running) {
      await watched(() => {
        const values = payload.values(issued, inFlight)
        issued += inFlight
        return store.appendGroup(values)
      })
    }
  } else {
    const next = () => store.append(payload.value(issued++))
    const caller = async (_, index) => {
      if (index % LOOKING === 0) while (state.running) await watched(next)
      else while (state.running) await next()
    }
    await Promise.all(Array.from({ length: inFlight }, caller))
  }
  return { count: issued, latencies: latencies.summary() }
}

/** Groups of `group` records, each acknowledged before the next. */
export async function appendGroupsFor(store, payload, { group, milliseconds, maxBytes }) {
  return appendFor({ appendGroup: store.appendGroup }, payload, { inFlight: group, milliseconds, maxBytes })
}
