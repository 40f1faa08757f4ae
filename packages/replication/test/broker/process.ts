import {
  BrokerSession,
  ClusterImage,
  decodeBrokerRegistration,
  encodeBrokerRegistration,
  type BrokerRegistration,
  type BrokerSessionOptions,
  type BrokerSessionOutput,
} from '../../src/index.js'
import type { StoreDouble } from './store-double.js'

type Transaction = Extract<BrokerSessionOutput, { kind: 'transaction' }>

/** A process: a session, its image, and what it wants done that is not done yet. */
export class Process {
  now = 0
  readonly image = new ClusterImage()
  readonly session: BrokerSession
  readonly pending: BrokerSessionOutput[] = []
  readonly kept: string[] = []
  readonly #store: StoreDouble
  #seen: number

  constructor(store: StoreDouble, options: Partial<BrokerSessionOptions> = {}) {
    this.#store = store
    this.image.reset(store.entries.values(), store.revision)
    this.#seen = store.events.length
    this.session = new BrokerSession({
      brokerId: 1,
      incarnationId: 'first',
      directoryId: 'disk',
      rack: null,
      endpoints: { PLAINTEXT: 'localhost:9092' },
      mayHaveLostRecords: false,
      image: this.image,
      now: this.now,
      ...options,
    })
  }

  /** What it wants done, without doing it. */
  wants(): BrokerSessionOutput[] {
    this.pending.push(...this.session.take())
    return this.pending.splice(0)
  }

  watch(): void {
    const events = this.#store.events.slice(this.#seen)
    this.#seen += events.length
    for (const event of events) this.image.apply(event)
    if (events.length > 0) this.session.imageChanged(this.now)
  }

  do(output: BrokerSessionOutput): void {
    if (output.kind === 'grant lease') this.session.leaseGranted(this.#store.grant(), this.now)
    if (output.kind === 'revoke lease') this.#store.revoke(output.lease)
    if (output.kind === 'transaction')
      this.session.settled(output.id, this.#store.transaction(output.transaction), this.now)
    if (output.kind === 'keep alive') {
      this.kept.push(output.lease)
      if (!this.#store.has(output.lease)) this.session.leaseLost(output.lease, this.now)
    }
  }

  /** Does all of it, and sees what comes of it. */
  run(): this {
    for (let outputs = this.wants(); outputs.length > 0; outputs = this.wants()) {
      for (const output of outputs) this.do(output)
      this.watch()
    }
    this.watch()
    return this
  }

  pass(ms: number): this {
    this.now += ms
    this.session.tick(this.now)
    return this
  }
}

export const key = '/brokers/1'
export const registration = (store: StoreDouble, brokerKey = key): BrokerRegistration =>
  decodeBrokerRegistration(store.entries.get(brokerKey)!)

/** What the controller does of it: the registration with another flag. */
export function change(store: StoreDouble, fields: Partial<BrokerRegistration>, brokerKey = key): void {
  const now = registration(store, brokerKey)
  store.transaction({
    puts: [{ key: brokerKey, value: encodeBrokerRegistration({ ...now, ...fields }), lease: now.lease }],
  })
}

export const transactions = (outputs: readonly BrokerSessionOutput[]): Transaction[] =>
  outputs.filter((output) => output.kind === 'transaction')

export const concerns = (outputs: readonly BrokerSessionOutput[], concern: string): Transaction[] =>
  transactions(outputs).filter(({ transaction }) => transaction.puts![0]!.key === concern)

export function running(store: StoreDouble, options: Partial<BrokerSessionOptions> = {}): Process {
  const process = new Process(store, options).run()
  change(store, { fenced: false }, `/brokers/${options.brokerId ?? 1}`)
  process.watch()
  return process.run()
}
