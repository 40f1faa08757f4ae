import { X509Certificate } from 'node:crypto'
import {
  Agent as HttpAgent,
  type ClientRequest,
  type IncomingMessage,
  request as httpRequest,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { isIP } from 'node:net'
import { createSecureContext } from 'node:tls'
import { VarveError } from '@varve/records'
import type { Clock, Timer } from '../clock.js'
import { EtcdFailure, type EtcdStatus } from './etcd-failure.js'
import type { EtcdEndpoint, EtcdTls } from './etcd-url.js'
import { type Json, objectIn } from './etcd-values.js'

export interface EtcdHttpOptions {
  readonly tls: EtcdTls | null
  readonly clock: Clock
  readonly connectTimeoutMs: number
  readonly requestTimeoutMs: number
}

/** What is asked, and where. */
export interface EtcdRequest {
  readonly endpoint: EtcdEndpoint
  readonly path: string
  readonly body: Json
  /** Who asks; null: nobody in particular. */
  readonly token: string | null
  /** The answer has no end: only what comes first has to come in time. Default: false. */
  readonly isStream?: boolean
}

/** What comes of a request. After `ended` or `failed` nothing more does. */
export interface EtcdAnswer {
  /** One JSON object, of a stream each of them. */
  message(message: Json): void
  ended(): void
  failed(failure: EtcdFailure): void
}

const newline = 0x0a

/** Speaks to etcd's JSON gateway. Every request has an end: an answer, an error, a time, or that of this. */
export class EtcdHttp {
  readonly #options: EtcdHttpOptions
  readonly #agent: HttpAgent | HttpsAgent
  readonly #underWay = new Set<EtcdExchange>()
  #tls: EtcdTls | null

  /** @throws VarveError `VARVE_INVALID_OPTION` for certificates that are none */
  constructor(options: EtcdHttpOptions) {
    this.#options = options
    this.#tls = options.tls
    if (options.tls !== null) checkTls(options.tls)
    this.#agent =
      options.tls === null ? new HttpAgent({ keepAlive: true }) : new HttpsAgent({ keepAlive: true })
  }

  /** New connections are made with these. @throws VarveError `VARVE_INVALID_OPTION` for certificates that are none */
  use(tls: EtcdTls): void {
    checkTls(tls)
    // The agent gives no connection to a request that has other certificates than it was made with.
    this.#tls = tls
  }

  /** Asks for one answer. @throws EtcdFailure */
  ask(request: EtcdRequest): Promise<Json> {
    return new Promise((resolve, reject) => {
      let answer: Json | null = null
      this.start(request, {
        message: (message) => (answer = message),
        ended: () =>
          answer === null
            ? reject(new EtcdFailure(request.endpoint, 'unknown', 'answered nothing'))
            : resolve(answer),
        failed: reject,
      })
    })
  }

  /** Asks, and hands over what comes as it does. */
  start(request: EtcdRequest, answer: EtcdAnswer): EtcdExchange {
    const { endpoint, path, body, token, isStream = false } = request
    const tls = this.#tls
    const text = Buffer.from(JSON.stringify(body))
    const options = {
      host: endpoint.host,
      port: endpoint.port,
      method: 'POST',
      path,
      agent: this.#agent,
      headers: {
        'content-type': 'application/json',
        'content-length': text.length,
        // A member that is cut off from the others says so then, instead of keeping quiet.
        'grpc-metadata-hasleader': 'true',
        ...(token !== null && { authorization: token }),
      },
    }
    const sent =
      tls === null
        ? httpRequest(options)
        : httpsRequest({ ...options, ...tls, servername: nameOf(endpoint, tls) })
    const exchange = new EtcdExchange(sent, endpoint, answer, {
      ...this.#options,
      isStream,
      readyEvent: tls === null ? 'connect' : 'secureConnect',
      done: () => this.#underWay.delete(exchange),
    })
    this.#underWay.add(exchange)
    sent.end(text)
    return exchange
  }

  close(): void {
    for (const exchange of this.#underWay) exchange.fail('unknown', 'the metadata store was closed')
    this.#agent.destroy()
  }
}

/** Node takes authorities that are none for none at all. */
function checkTls({ ca, cert, key }: EtcdTls): void {
  try {
    if (ca !== undefined) void new X509Certificate(ca)
    createSecureContext({ cert, key })
  } catch (error) {
    throw new VarveError(
      'VARVE_INVALID_OPTION',
      `the certificate, key or authorities for etcd cannot be used: ${(error as Error).message}; give them as PEM`,
      { cause: error },
    )
  }
}

/** The name that is asked for. An address is none, and is looked for in the certificate all the same. */
function nameOf({ host }: EtcdEndpoint, { serverName }: EtcdTls): string {
  return serverName ?? (isIP(host) === 0 ? host : '')
}

interface ExchangeOptions extends EtcdHttpOptions {
  readonly isStream: boolean
  readonly readyEvent: 'connect' | 'secureConnect'
  readonly done: () => void
}

/** One request, and its answer as it comes. */
export class EtcdExchange {
  readonly #request: ClientRequest
  readonly #endpoint: EtcdEndpoint
  readonly #answer: EtcdAnswer
  readonly #options: ExchangeOptions
  #timer: Timer
  #isSent = false
  #hasEnded = false

  constructor(request: ClientRequest, endpoint: EtcdEndpoint, answer: EtcdAnswer, options: ExchangeOptions) {
    this.#request = request
    this.#endpoint = endpoint
    this.#answer = answer
    this.#options = options
    const { connectTimeoutMs, readyEvent } = options
    this.#timer = this.#failIn(connectTimeoutMs, 'took no connection')
    request.once('socket', (socket) => {
      if (request.reusedSocket) this.#sent()
      else socket.once(readyEvent, () => this.#sent())
    })
    request.once('response', (response) => this.#take(response))
    request.on('error', (error) => this.#broke(error))
  }

  /** Ends it without a word. */
  close(): void {
    if (this.#hasEnded) return
    this.#end()
    this.#request.destroy()
  }

  fail(kind: 'not sent' | 'unknown', reason: string, cause?: unknown): void {
    if (this.#hasEnded) return
    this.close()
    this.#answer.failed(new EtcdFailure(this.#endpoint, this.#isSent ? kind : 'not sent', reason, { cause }))
  }

  #sent(): void {
    if (this.#hasEnded) return
    this.#isSent = true
    this.#options.clock.clearTimeout(this.#timer)
    this.#timer = this.#failIn(this.#options.requestTimeoutMs, 'did not answer')
  }

  #failIn(ms: number, what: string): Timer {
    return this.#options.clock.setTimeout(() => this.fail('unknown', `${what} within ${ms} ms`), ms)
  }

  #broke(error: Error): void {
    this.fail('unknown', reasonOf(error), error)
  }

  #take(response: IncomingMessage): void {
    response.on('error', (error) => this.#broke(error))
    response.once('close', () => this.fail('unknown', 'ended its answer in the middle'))
    const parts: Buffer[] = []
    const isGood = response.statusCode === 200
    response.on('data', (chunk: Buffer) => {
      let start = 0
      for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
        parts.push(chunk.subarray(start, end))
        if (isGood) this.#line(Buffer.concat(parts.splice(0)))
        start = end + 1
      }
      parts.push(chunk.subarray(start))
    })
    response.once('end', () => {
      const rest = Buffer.concat(parts)
      if (!isGood) return this.#refused(response.statusCode ?? 0, rest.toString())
      this.#line(rest)
      if (this.#hasEnded) return
      this.#end()
      this.#answer.ended()
    })
  }

  /** The messages of a stream are in envelopes, those of other answers are not. */
  #line(line: Buffer): void {
    if (this.#hasEnded || line.length === 0) return
    let message: Json
    try {
      message = objectIn(JSON.parse(line.toString()))
      if (message['error'] === undefined) message = objectIn(message['result'] ?? message)
    } catch (error) {
      return this.fail(
        'unknown',
        `answered what is no JSON of etcd's: ${line.toString().slice(0, 100)}`,
        error,
      )
    }
    const status = statusIn(message)
    if (status !== null) return this.#failWith(status)
    if (this.#options.isStream) this.#options.clock.clearTimeout(this.#timer)
    this.#answer.message(message)
  }

  #refused(httpStatus: number, text: string): void {
    const status = statusOf(text)
    if (status !== null) this.#failWith(status)
    else if (httpStatus === 404) {
      this.fail('unknown', 'has no JSON gateway; it takes etcd 3.4 or later, with --enable-grpc-gateway')
    } else this.fail('unknown', `answered with HTTP ${httpStatus}: ${text.trim().slice(0, 100)}`)
  }

  #failWith(status: EtcdStatus): void {
    if (this.#hasEnded) return
    this.close()
    this.#answer.failed(EtcdFailure.of(this.#endpoint, status))
  }

  #end(): void {
    this.#hasEnded = true
    this.#options.clock.clearTimeout(this.#timer)
    this.#options.done()
  }
}

function statusOf(text: string): EtcdStatus | null {
  try {
    return statusIn(objectIn(JSON.parse(text)))
  } catch {
    // Whoever answered, it was not etcd.
    return null
  }
}

/** Each line of etcd says its errors in a way of its own. */
function statusIn(message: Json): EtcdStatus | null {
  const inner = message['error']
  const error = typeof inner === 'object' && inner !== null ? (inner as Json) : message
  const code = error['grpc_code'] ?? error['code']
  const text = error['message']
  return typeof code === 'number' && typeof text === 'string' ? { code, message: text } : null
}

function reasonOf(error: Error): string {
  const { code } = error as { code?: string }
  switch (code) {
    case 'ECONNREFUSED':
      return 'refuses connections'
    case 'ECONNRESET':
      return 'broke the connection'
    default:
      return error.message
  }
}
