import type { RequestHeader } from '@varve/protocol'

/** A request from when its frame is complete until its response is encoded and nothing needs its bytes any more. */
export class ReceivedRequest {
  readonly header: RequestHeader
  readonly frame: Buffer
  readonly #release: () => void
  #users = 1

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

  /** Ends one use. */
  done(): void {
    if (--this.#users === 0) this.#release()
  }
}
