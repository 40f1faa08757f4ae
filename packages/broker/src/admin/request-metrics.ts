import { type AnyApi, errorByCode, type RequestHeader } from '@varve/protocol'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { supportedApis } from '../supported-apis.js'
import { RequestTimes } from './request-times.js'
import { eachErrorCode } from './response-errors.js'

/** In seconds: from a request that is answered at once to one that waits as long as clients let it. */
const durationBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Requests by their kind: how many, how long, with which errors. */
export class RequestMetrics {
  readonly #requests: Counter<'request' | 'version'>
  readonly #durations: Histogram<'request'>
  readonly #errors: Counter<'request' | 'error'>
  readonly #times: Gauge<'request' | 'quantile'>
  readonly #timesCount: Counter<'request'>
  readonly #timesOf = new Map<string, RequestTimes>()
  /** By request and error, and told to the counter when somebody asks. */
  readonly #errorsOf = new Map<string, Map<number, number>>()

  constructor(registry: Registry) {
    const registers = [registry]
    this.#requests = new Counter({
      name: 'kafka_network_requestmetrics_requests_total',
      help: 'Requests that have been answered.',
      labelNames: ['request', 'version'],
      registers,
    })
    this.#errors = new Counter({
      name: 'kafka_network_requestmetrics_errors_total',
      help: 'Error codes of responses, NONE included; a response has as many as it has parts.',
      labelNames: ['request', 'error'],
      registers,
    })
    this.#times = new Gauge({
      name: 'kafka_network_requestmetrics_totaltimems',
      help: 'In ms, of the last minutes: from when a request is begun until its response goes to the socket.',
      labelNames: ['request', 'quantile'],
      registers,
    })
    this.#timesCount = new Counter({
      name: 'kafka_network_requestmetrics_totaltimems_count',
      help: 'Requests whose time was taken.',
      labelNames: ['request'],
      registers,
    })
    this.#durations = new Histogram({
      name: 'varve_request_duration_seconds',
      help: 'From when a request is begun, waits of long polls included, until its response goes to the socket.',
      labelNames: ['request'],
      buckets: durationBuckets,
      registers,
    })
  }

  answered({ apiKey, apiVersion }: RequestHeader, beganAt: number, now: number): void {
    const request = supportedApis.get(apiKey)?.api.name ?? 'unknown'
    this.#requests.inc({ request, version: String(apiVersion) })
    this.#durations.observe({ request }, (now - beganAt) / 1000)
    let times = this.#timesOf.get(request)
    if (times === undefined) this.#timesOf.set(request, (times = new RequestTimes(now)))
    times.record(now - beganAt, now)
  }

  responded(api: AnyApi, version: number, response: object): void {
    let errors = this.#errorsOf.get(api.name)
    if (errors === undefined) this.#errorsOf.set(api.name, (errors = new Map()))
    const counted = errors
    eachErrorCode(api, version, response, (code) => counted.set(code, (counted.get(code) ?? 0) + 1))
  }

  look(now: number): void {
    for (const metric of [this.#errors, this.#times, this.#timesCount]) metric.reset()
    for (const [request, errors] of this.#errorsOf) {
      for (const [code, count] of errors) this.#errors.inc({ request, error: errorByCode(code).name }, count)
    }
    for (const [request, times] of this.#timesOf) {
      for (const [quantile, ms] of times.quantiles(now)) this.#times.set({ request, quantile }, ms)
      this.#timesCount.inc({ request }, times.count)
    }
  }
}
