import { ByteBudget } from '@varve/protocol'

/** The parts of the budget that received frames, and large requests that have been decoded, may take. */
const framesShare = 5 / 8
const decodedShare = 1 / 8

/**
 * What all connections together may hold.
 *
 * The budget is split, so that peers that fill it with half-sent frames take nothing from those whose requests are small
 * or who are being answered.
 */
export class RequestMemory {
  /** Large frames, from their first byte until their request has been worked off. */
  readonly frames: ByteBudget
  /** Copies of small frames, and responses from when their bytes are in memory until the kernel has them. */
  readonly flow: ByteBudget
  /** What large requests without records are decoded to, until they are answered or wait. */
  readonly decoded: ByteBudget

  constructor(limitBytes: number) {
    const frames = Math.floor(limitBytes * framesShare)
    this.frames = new ByteBudget(frames)
    const decoded = Math.floor(limitBytes * decodedShare)
    this.flow = new ByteBudget(limitBytes - frames - decoded)
    this.decoded = new ByteBudget(decoded)
  }

  get usedBytes(): number {
    return this.frames.usedBytes + this.flow.usedBytes + this.decoded.usedBytes
  }
}
