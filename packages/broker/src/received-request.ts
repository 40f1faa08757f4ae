import type { RequestHeader } from '@varve/protocol'

/** A request from when its frame is complete until its response is encoded and nothing needs its bytes any more. */
export class ReceivedRequest {
  readonly header: RequestHeader
  readonly frame: Buffer
  readonly #release: () => void
  #users = 1
  #settleDecoded: (() => void) | null = null

  /** @param release gives the frame's bytes back; called once */
  constructor(header: RequestHeader, frame: Buffer, release: () => void) {
    this.header = header
    this.frame = frame
    this.#release = release
  }

  /** Counts the bytes as in use until the promise settles. */
  retain(until: Promise<unknown>): void {
    this.#users++
    void until.catch(() => {}).then(() => this.done())
  }

  /** Takes note that the decoded request has been paid for, and of how that is given back. */
  paid(settle: () => void): void {
    this.#settleDecoded = settle
  }

  /** Gives back what the decoded request was charged for, if it was; at the latest that happens with the last use. */
  settleDecoded(): void {
    const settle = this.#settleDecoded
    this.#settleDecoded = null
    settle?.()
  }

  /** Ends one use. */
  done(): void {
    if (--this.#users > 0) return
    this.#release()
    this.settleDecoded()
  }
}
