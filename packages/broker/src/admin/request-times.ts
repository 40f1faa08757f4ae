import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'

/** Kafka's samples stand for about the last five minutes; these for the last half of that up to all of it. */
const windowMs = 150_000
const mostMicroseconds = 3_600_000_000

/** Quantiles as the JMX exporter writes those of Kafka, and the percentiles that they are. */
const quantiles: ReadonlyArray<readonly [label: string, percentile: number]> = [
  ['0.50', 50],
  ['0.75', 75],
  ['0.95', 95],
  ['0.98', 98],
  ['0.99', 99],
  ['0.999', 99.9],
]

const histogram = (): RecordableHistogram => createHistogram({ highest: mostMicroseconds, figures: 2 })

/** How long requests of one kind took of late. */
export class RequestTimes {
  count = 0
  #current = histogram()
  #before = histogram()
  #since: number

  /** @param now in ms, of any clock that goes on */
  constructor(now: number) {
    this.#since = now
  }

  record(ms: number, now: number): void {
    this.#turn(now)
    this.count++
    this.#current.record(Math.min(mostMicroseconds, Math.max(1, Math.round(ms * 1000))))
  }

  /** In ms; NaN where nothing came of late. */
  quantiles(now: number): Array<readonly [label: string, ms: number]> {
    this.#turn(now)
    const both = histogram()
    both.add(this.#before)
    both.add(this.#current)
    return quantiles.map(([label, percentile]) => [
      label,
      both.count === 0 ? Number.NaN : both.percentile(percentile) / 1000,
    ])
  }

  #turn(now: number): void {
    const passed = Math.floor((now - this.#since) / windowMs)
    if (passed < 1) return
    this.#before = passed === 1 ? this.#current : histogram()
    this.#current = histogram()
    this.#since += passed * windowMs
  }
}
