/** A peer that takes nothing of what it asked for is given up after this long. */
const unreadTimeoutMs = 30_000
/** While others wait for memory, a peer in the middle of a frame is given up if it sends less than this in this time. */
const stalledFrameTimeoutMs = 5_000
const stalledFrameBytes = 32 * 1024

/** What a connection is up to. */
export interface ConnectionProgress {
  /** Bytes that wait for nothing but the peer's reading them. */
  readonly unsentBytes: number
  /** Bytes of a frame that the peer has begun and not completed. */
  readonly partialBytes: number
  /** It is us who do not read: the peer is not to blame for sending nothing. */
  readonly paused: boolean
  /** Requests of the peer are being worked on. */
  readonly working: boolean
  /** Somebody waits for memory that half-sent frames hold. */
  readonly memoryShort: boolean
}

/** Tells from what it sees about once a second when a peer is to be given up. */
export class ProgressWatch {
  readonly #maxIdleMs: number
  #receivedBytes = 0
  /** When the peer last sent something, or something of its was being worked on. */
  #lastActive: number
  #lastUnsentBytes = 0
  /** When the peer last took something, or had nothing to take. */
  #lastTaken: number
  /** Since when, and from which count on, the peer has been watched for a stalled frame. */
  #watchedSince: number
  #watchedBytes = 0

  /** @param maxIdleMs a peer from which nothing has come for so long is given up; none is if it is below 0 */
  constructor(now: number, maxIdleMs: number) {
    this.#maxIdleMs = maxIdleMs < 0 ? Infinity : maxIdleMs
    this.#lastActive = this.#lastTaken = this.#watchedSince = now
  }

  received(bytes: number, now: number): void {
    this.#receivedBytes += bytes
    this.#lastActive = now
  }

  /** @returns why the connection is to be closed: a sentence for the log, '' for mere idleness, null to go on */
  verdict(progress: ConnectionProgress, now: number): string | null {
    const { unsentBytes, paused, working } = progress
    if (unsentBytes === 0 || unsentBytes !== this.#lastUnsentBytes) this.#lastTaken = now
    this.#lastUnsentBytes = unsentBytes
    if (now - this.#lastTaken >= unreadTimeoutMs) {
      return `the client has read nothing for ${unreadTimeoutMs / 1000} s while ${unsentBytes} bytes wait for it`
    }
    if (this.#stalls(progress, now)) {
      return 'the client stopped in the middle of a request while others wait for memory'
    }
    if (working || paused || unsentBytes > 0) this.#lastActive = now
    return now - this.#lastActive >= this.#maxIdleMs ? '' : null
  }

  #stalls({ partialBytes, paused, memoryShort }: ConnectionProgress, now: number): boolean {
    const watched = memoryShort && !paused && partialBytes > 0
    if (!watched || this.#receivedBytes - this.#watchedBytes >= stalledFrameBytes) {
      this.#watchedSince = now
      this.#watchedBytes = this.#receivedBytes
    }
    return now - this.#watchedSince >= stalledFrameTimeoutMs
  }
}
