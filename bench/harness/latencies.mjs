/** Latencies in an HDR histogram: Node has HdrHistogram's C code built in, so that no package is needed for it. */
import { createHistogram } from 'node:perf_hooks'

const MINUTE = 60e9

export class Latencies {
  #histogram = createHistogram({ lowest: 1, highest: MINUTE, figures: 3 })

  record(nanoseconds) {
    this.#histogram.record(Math.max(1, Math.min(MINUTE, Math.round(nanoseconds))))
  }

  /** Percentiles in microseconds. */
  summary() {
    const at = (percentile) => this.#histogram.percentile(percentile) / 1000
    return {
      count: this.#histogram.count,
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      max: this.#histogram.max / 1000,
    }
  }
}
