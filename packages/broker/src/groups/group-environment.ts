import type { LogFields, LogLevel } from '../broker-log.js'
import type { Clock } from '../clock.js'
import type { GroupOptions } from './group-options.js'
import type { GroupRecord } from './group-records.js'

/** What the state machines of groups know of the world. */
export interface GroupEnvironment {
  readonly clock: Clock
  readonly options: Required<GroupOptions>
  /** A new id every time. */
  randomId(): string
  /**
   * Appends the records as one batch. Resolves when they are committed and all that was stored before has been seen to;
   * a rejection means that none of them are there.
   *
   * @param late called where that takes longer than `offsets.commit.timeout.ms`; it goes on
   */
  store(records: readonly GroupRecord[], late?: () => void): Promise<void>
  /** Tells whoever runs the broker what becomes of a group, and why. */
  tell(level: LogLevel, groupId: string, text: string, about?: LogFields): void
}
