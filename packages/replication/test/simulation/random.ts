/**
 * Seeded random numbers (sfc32). Each part of a simulation draws from a stream of its own, so that what one of them draws more
 * or less does not change what the others get.
 */
export class Random {
  readonly #seed: number
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number, name = '') {
    this.#seed = hash(seed, name)
    this.#a = this.#seed
    this.#b = hash(this.#seed, 'b')
    this.#c = hash(this.#seed, 'c')
    for (let i = 0; i < 12; i++) this.#draw()
  }

  /** A stream that depends on this one's seed and the name alone, not on what was drawn. */
  fork(name: string): Random {
    return new Random(this.#seed, name)
  }

  /** In [0, 1). */
  next(): number {
    return this.#draw() / 0x1_0000_0000
  }

  /** A whole number, both ends included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1))
  }

  float(min: number, max: number): number {
    return min + this.next() * (max - min)
  }

  chance(probability: number): boolean {
    return probability > 0 && this.next() < probability
  }

  pick<Item>(items: readonly Item[]): Item {
    if (items.length === 0) throw new RangeError('nothing to pick from')
    return items[Math.floor(this.next() * items.length)]!
  }

  /** In place. */
  shuffle<Item>(items: Item[]): Item[] {
    for (let i = items.length - 1; i > 0; i--) {
      const other = this.int(0, i)
      const item = items[i]!
      items[i] = items[other]!
      items[other] = item
    }
    return items
  }

  exponential(mean: number): number {
    return -Math.log(1 - this.next()) * mean
  }

  /** Mostly near `min`, with a tail that ends at `max`. */
  latency(min: number, mean: number, max = Infinity): number {
    return Math.min(max, min + this.exponential(mean - min))
  }

  #draw(): number {
    const drawn = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + drawn) | 0
    return drawn >>> 0
  }
}

function hash(seed: number, name: string): number {
  let h =
    Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) ^ Math.imul(Math.floor(seed / 0x1_0000_0000), 0xc2b2_ae35)
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x0100_0193)
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35)
  return (h ^ (h >>> 16)) >>> 0
}
