/** What a group is encoded in; a batch that is larger has one of its own. */
export const STAGING_BYTES = 1 << 20
/** So many that are not in use are kept. */
const KEPT = 8

/** Of all logs of this thread, the one used last at the end: it is the most likely to be in the processor's caches. */
const idle: Buffer[] = []

/** Memory for so many bytes at least, which hold anything. New memory costs as much as what is written to it. */
export function takeStaging(bytes: number): Buffer {
  if (bytes > STAGING_BYTES) return Buffer.allocUnsafeSlow(bytes)
  return idle.pop() ?? Buffer.allocUnsafeSlow(STAGING_BYTES)
}

/** Nothing of it is used any more. */
export function giveStagingBack(staging: Buffer): void {
  if (staging.length === STAGING_BYTES && idle.length < KEPT) idle.push(staging)
}
