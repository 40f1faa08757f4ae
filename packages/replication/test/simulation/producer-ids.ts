import { nextProducerIdBlock, type ProducerIdBlock } from '@varve/replication'
import type { BrokerLife } from './broker-life.js'

const retryMs = 100

/** Hands out the producer ids of blocks that a broker has the store set apart for it, one block after the other. */
export class ProducerIds {
  readonly #life: BrokerLife
  #next = 0
  #end = 0
  #isAsking = false
  #waiting: ((producerId: number) => void)[] = []

  constructor(life: BrokerLife) {
    this.#life = life
  }

  take(done: (producerId: number) => void): void {
    this.#waiting.push(done)
    this.#handOut()
  }

  #handOut(): void {
    while (this.#next < this.#end && this.#waiting.length > 0) this.#waiting.shift()!(this.#next++)
    if (this.#waiting.length > 0 && !this.#isAsking) this.#ask()
  }

  #ask(): void {
    this.#isAsking = true
    const block = nextProducerIdBlock(this.#life.image.producerIds)
    this.#life.store.transaction(block.transaction, ({ kind }) => {
      this.#isAsking = false
      if (kind === 'succeeded') this.#begin(block)
      // The image may not have what another broker has put yet.
      else this.#life.after(retryMs, () => this.#handOut())
    })
  }

  #begin(block: ProducerIdBlock): void {
    this.#life.invariants.producerIdsTaken(block)
    this.#life.tell('producers', () => `has the producer ids from ${block.firstProducerId} on`)
    this.#next = block.firstProducerId
    this.#end = block.endProducerId
    this.#handOut()
  }
}
