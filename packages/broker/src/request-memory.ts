import { ByteBudget } from '@varve/protocol'

/** The part of the budget that received frames may take. */
const framesShare = 0.75

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

  constructor(limitBytes: number) {
    const frames = Math.floor(limitBytes * framesShare)
    this.frames = new ByteBudget(frames)
    this.flow = new ByteBudget(limitBytes - frames)
  }

  get usedBytes(): number {
    return this.frames.usedBytes + this.flow.usedBytes
  }
}
