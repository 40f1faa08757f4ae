import { VarveError } from '@varve/records'
import { type BrokerLog, errorFields, messageOf } from '../broker-log.js'
import type { Clock } from '../clock.js'

const shortestBackoffMs = 100
const longestBackoffMs = 2000
/** Who waits for long says so again. */
const lineEveryMs = 30_000

const passing = new Set(['VARVE_METADATA_OUTCOME_UNKNOWN', 'VARVE_METADATA_UNAVAILABLE'])

/**
 * Does what needs the metadata store, which may be done twice, again and again until the store can be reached: brokers and store are
 * started in any order. What the store refuses is not tried again.
 */
export async function untilReachable<T>(
  work: () => Promise<T>,
  { clock, log }: { readonly clock: Clock; readonly log: BrokerLog },
): Promise<T> {
  let lastLineAt = -Infinity
  for (let backoffMs = shortestBackoffMs; ; backoffMs = Math.min(2 * backoffMs, longestBackoffMs)) {
    try {
      const result = await work()
      if (lastLineAt !== -Infinity) log('info', 'the metadata store can be reached now')
      return result
    } catch (error) {
      if (!VarveError.is(error) || !passing.has(error.code)) throw error
      if (clock.now() - lastLineAt >= lineEveryMs) {
        lastLineAt = clock.now()
        log('warn', `waiting for the metadata store: ${messageOf(error)}`, errorFields(error))
      }
      await new Promise<void>((resolve) => void clock.setTimeout(resolve, backoffMs))
    }
  }
}
