/** How a broker finds its data when it starts. */
export interface FoundData {
  /** The policy under which it was written: covered by an fsync when acknowledged, or in the page cache. */
  readonly durability: 'os' | 'fsync'
  /** Whether the clean marker says that everything had been flushed. */
  readonly cleanShutdown: boolean
  /** Whether the machine has been booted since. */
  readonly rebooted: boolean
  /** Whether recovery cut more from a log than a last batch that was incomplete. */
  readonly cutWholeBatch: boolean
}

/**
 * Whether a broker may lack records that it once reported to have. One that does leaves every in-sync set and every set of
 * eligible leaders before it can be elected (KIP-966's unclean shutdown, told from what a mere process crash leaves behind).
 */
export function mayHaveLostRecords(found: FoundData): boolean {
  return found.durability === 'os' && !found.cleanShutdown && (found.rebooted || found.cutWholeBatch)
}
