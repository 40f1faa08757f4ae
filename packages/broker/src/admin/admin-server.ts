import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { bind } from '../bind.js'
import { type BrokerLog, messageOf } from '../broker-log.js'
import { BrokerMetrics } from './broker-metrics.js'
import { Health } from './health.js'

export interface AdminServerOptions {
  readonly host: string
  readonly port: number
  readonly log: BrokerLog
}

/** What operators look at, over HTTP: `/metrics` and `/healthz`. It is there before the logs are opened. */
export class AdminServer {
  readonly health = new Health()
  readonly metrics = new BrokerMetrics(() => this.health.phase)
  readonly #options: AdminServerOptions
  readonly #server: Server

  private constructor(options: AdminServerOptions) {
    this.#options = options
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        options.log('error', `could not answer ${request.url} on the admin port: ${messageOf(error)}`)
        if (!response.headersSent) response.writeHead(500)
        response.end(`${messageOf(error)}\n`)
      })
    })
  }

  /** @throws VarveError as a listener of Kafka's protocol does */
  static async open(options: AdminServerOptions): Promise<AdminServer> {
    const admin = new AdminServer(options)
    await bind(admin.#server, options)
    admin.#server.on('error', (error) => options.log('warn', `the admin port: ${error.message}`))
    return admin
  }

  get host(): string {
    return this.#options.host
  }

  get port(): number {
    const bound = this.#server.address()
    return typeof bound === 'object' && bound !== null ? bound.port : this.#options.port
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve))
    this.#server.closeAllConnections()
    await closed
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url?.split('?')[0]
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end()
    } else if (path === '/healthz') {
      const report = await this.health.report()
      response.writeHead(report.status === 'serving' ? 200 : 503, {
        'content-type': 'application/json',
        'cache-control': 'no-store',
      })
      response.end(`${JSON.stringify(report)}\n`)
    } else if (path === '/metrics') {
      const text = await this.metrics.text()
      response.writeHead(200, { 'content-type': this.metrics.contentType }).end(text)
    } else {
      response.writeHead(404).end('there are /metrics and /healthz\n')
    }
  }
}
