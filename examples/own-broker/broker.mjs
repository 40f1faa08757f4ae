import { once } from 'node:events'
import { createServer } from 'node:http'
import { openDataDirectory } from '@varve/log'

/** A log beside the topics, of the offsets that groups want next. No topic can have its name. */
const POSITIONS = '__positions'
const NAME = /^(?!\.|__)[\w.-]{1,100}$/
/** Of a message that is published, and about of an answer. */
const LARGEST_BYTES = 1_000_000

/** A message broker over HTTP: a topic is a log, a message a record of it, and a consumer an offset. */
export class Broker {
  url = ''
  #data
  #topics = new Map()
  #commits
  #positions = new Map()
  #subscribers = new Set()
  #server = createServer((request, response) => this.#answer(request, response))

  /** Serves `dir` on a free port, or on `port`, of this machine, or of all its networks with `host: '0.0.0.0'`. */
  static async start(dir, { port = 0, host = '127.0.0.1' } = {}) {
    const broker = new Broker()
    broker.#data = await openDataDirectory(dir)
    broker.#commits = await broker.#data.openLog(POSITIONS, { cleanupPolicy: 'compact', segmentBytes: 1e6 })
    for await (const { key, value } of broker.#commits.read()) broker.#positions.set(`${key}`, Number(value))
    for (const name of await broker.#data.logs()) if (NAME.test(name)) await broker.#open(name)
    await once(broker.#server.listen(port, host), 'listening')
    const address = /** @type {import('node:net').AddressInfo} */ (broker.#server.address())
    broker.url = `http://${host}:${address.port}`
    return broker
  }

  async close() {
    const closed = once(this.#server.close(), 'close')
    for (const subscriber of this.#subscribers) subscriber.abort()
    await closed
    await this.#data.close()
  }

  async #answer(request, response) {
    try {
      const { pathname, searchParams } = new URL(request.url, 'http://broker')
      const [, kind, name, group] = pathname.split('/')
      const route = `${request.method} ${kind}`
      if (route === 'POST topics') await this.#publish(name, searchParams, request, response)
      else if (route === 'GET topics') await this.#subscribe(name, searchParams, request, response)
      else if (route === 'PUT positions') await this.#commit(`${name}/${group}`, request, response)
      else throw refusal(404, `there is no ${request.method} ${pathname}`)
    } catch (error) {
      if (response.headersSent) response.destroy()
      else send(response, error.status ?? 500, { error: error.message })
    }
  }

  /** Answers when an fsync covers the message: one that it shares with all that were published meanwhile. */
  async #publish(name, searchParams, request, response) {
    const record = { key: searchParams.get('key'), value: await bodyOf(request) }
    if (!NAME.test(name)) throw refusal(400, `"${name}" cannot be the name of a topic`)
    const log = await (this.#topics.get(name) ?? this.#open(name))
    const { baseOffset } = await log.append([record])
    send(response, 201, { offset: baseOffset })
  }

  /** Server-sent events without end for an EventSource; else what there is, waiting `wait` ms until there is any. */
  async #subscribe(name, searchParams, request, response) {
    const log = await this.#topics.get(name)
    if (log === undefined) throw refusal(404, `nothing has been published to "${name}"`)
    const { accept, 'last-event-id': lastEventId } = request.headers
    const position = this.#positions.get(`${name}/${searchParams.get('group')}`)
    const asked = lastEventId === undefined ? searchParams.get('offset') : Number(lastEventId) + 1
    const from = Number(asked ?? position ?? log.startOffset)
    if (!(from >= log.startOffset && from <= log.durableOffset)) {
      throw refusal(416, `the offsets of "${name}" are ${log.startOffset} to ${log.durableOffset}`)
    }
    const subscriber = new AbortController()
    this.#subscribers.add(subscriber)
    response.once('close', () => this.#subscribers.delete(subscriber) && subscriber.abort())
    if (accept === 'text/event-stream') return stream(log, from, response, subscriber.signal)
    const waits = from === log.durableOffset
    const timer = waits ? setTimeout(() => subscriber.abort(), Number(searchParams.get('wait'))) : undefined
    send(response, 200, await poll(log, from, subscriber.signal).finally(() => clearTimeout(timer)))
  }

  /** Notes the offset that a group wants next: it goes on there, whoever of us has crashed. */
  async #commit(key, request, response) {
    const offset = Number(await bodyOf(request))
    const [name, group] = key.split('/')
    if (!this.#topics.has(name) || !NAME.test(group) || !Number.isSafeInteger(offset)) {
      throw refusal(400, 'PUT /positions/<topic>/<group> takes the offset that is wanted next')
    }
    await this.#commits.append([{ key, value: String(offset) }])
    this.#positions.set(key, offset)
    send(response, 200, { offset })
  }

  #open(name) {
    // What all sockets delivered in a turn of the event loop is written together.
    return this.#topics.set(name, this.#data.openLog(name, { gather: 'immediate' })).get(name)
  }
}

async function poll(log, from, signal) {
  const messages = []
  try {
    let bytes = 0
    for await (const record of log.read({ from, follow: true, signal })) {
      messages.push(messageOf(record))
      bytes += record.value.length
      if (bytes >= LARGEST_BYTES || record.offset + 1 >= log.durableOffset) break
    }
  } catch (error) {
    if (!signal.aborted) throw error
  }
  return messages
}

async function stream(log, from, response, signal) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }).flushHeaders()
  for await (const record of log.read({ from, follow: true, signal })) {
    const isTaken = response.write(`id: ${record.offset}\ndata: ${JSON.stringify(messageOf(record))}\n\n`)
    // Whoever is slow leaves messages in the log, not in memory.
    if (!isTaken) await once(response, 'drain', { signal })
  }
}

const messageOf = ({ offset, key, value }) => ({ offset, key: key && String(key), value: String(value) })

const refusal = (status, message) => Object.assign(new Error(message), { status })

const send = (response, status, body) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`)

async function bodyOf(request) {
  const chunks = []
  let bytes = 0
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length
    if (bytes > LARGEST_BYTES) throw refusal(413, `a message has at most ${LARGEST_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
