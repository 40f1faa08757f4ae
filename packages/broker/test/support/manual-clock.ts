import type { Clock } from '../../src/clock.js'
import { ManualClock as PublicManualClock } from '../../src/testing/manual-clock.js'

/** Far ahead of the machine's clock: no record that a test stamps by that one comes from the future. */
const farAhead = 4_000_000_000_000

/** A clock that stands still until a test turns it, for connections as well. */
export class ManualClock extends PublicManualClock {
  constructor(now = farAhead) {
    super(now)
  }

  override get connections(): Clock {
    return this
  }
}
