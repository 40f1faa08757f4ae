import {
  type Assigned,
  type Commit,
  type Committed,
  type Completion,
  type HistoryEvent,
  type Invoke,
  type ListOffsets,
  type PartitionName,
  type Poll,
  type Start,
  HistoryError,
} from './event.js'
import { Operation, type Write } from './operation.js'
import { PartitionHistory } from './partition-history.js'

const resultOf = {
  produce: null,
  poll: 'records',
  commit: null,
  committed: 'offsets',
  listOffsets: 'ends',
} as const

/** The events of a history, put together to what happened. Throws a {@link HistoryError} where they contradict the format. */
export class History {
  readonly events: readonly HistoryEvent[]
  readonly clients = new Map<string, Start>()
  readonly partitions = new Map<PartitionName, PartitionHistory>()
  readonly writes = new Map<string, Write>()
  readonly commits: Operation<Commit>[] = []
  readonly committed: Operation<Committed>[] = []
  readonly #operations = new Map<string, Operation>()
  readonly #last = new Map<string, HistoryEvent>()
  /** Of each assignment, what its client did last before it. */
  readonly beforeAssigned = new Map<Assigned, HistoryEvent>()

  constructor(events: readonly HistoryEvent[]) {
    this.events = events
    for (const event of events) {
      this.#checkOrder(event)
      if (event.type === 'start') this.clients.set(event.client, event)
      else if (event.type === 'invoke') this.#invoked(event)
      else if (event.type === 'ok' || event.type === 'fail' || event.type === 'info') this.#completed(event)
      else if (event.type === 'assigned') this.beforeAssigned.set(event, this.#last.get(event.client)!)
      this.#last.set(event.client, event)
    }
  }

  /** The operation that an event begins or ends. */
  operationOf(event: Invoke | Completion): Operation {
    return this.#operations.get(`${event.client} ${event.operation}`)!
  }

  partition(name: PartitionName): PartitionHistory {
    let partition = this.partitions.get(name)
    if (partition === undefined) this.partitions.set(name, (partition = new PartitionHistory(name)))
    return partition
  }

  #checkOrder(event: HistoryEvent): void {
    const last = this.#last.get(event.client)
    const wrong = (what: string): HistoryError => new HistoryError(`${what}: ${JSON.stringify(event)}`)
    if (event.type === 'start' ? last !== undefined : last === undefined)
      throw wrong('a client starts once, before all else it does')
    if (last?.type === 'crash') throw wrong('the client has crashed before; who starts again has a new name')
    if (last !== undefined && last.time > event.time) throw wrong('the clock went back')
  }

  #invoked(invoke: Invoke): void {
    const client = this.clients.get(invoke.client)!
    const wrong = (what: string): HistoryError => new HistoryError(`${what}: ${JSON.stringify(invoke)}`)
    if ((invoke.call === 'produce' ? client.producer : client.consumer) === undefined)
      throw wrong('its start does not say that it does such things')
    const operation = new Operation(client, invoke)
    const key = `${invoke.client} ${invoke.operation}`
    if (this.#operations.has(key)) throw wrong('the client has had an operation of this number')
    this.#operations.set(key, operation)
    if (invoke.call === 'produce') {
      if (this.writes.has(invoke.value)) throw wrong('the value has been sent before')
      this.writes.set(invoke.value, operation as Write)
      this.partition(invoke.partition).writes.push(operation as Write)
    } else if (invoke.call === 'commit' || invoke.call === 'committed') {
      if (client.consumer!.group === undefined) throw wrong('the client has no group')
      if (invoke.call === 'commit') this.commits.push(operation as Operation<Commit>)
      else this.committed.push(operation as Operation<Committed>)
    }
  }

  #completed(completion: Completion): void {
    const operation = this.operationOf(completion)
    const wrong = (what: string): HistoryError => new HistoryError(`${what}: ${JSON.stringify(completion)}`)
    if (operation === undefined) throw wrong('there is no such operation')
    if (operation.completion !== null) throw wrong('the operation has ended before')
    operation.completion = completion
    if (completion.type !== 'ok') return
    const result = resultOf[operation.invoke.call]
    if (result !== null && completion[result] === undefined) throw wrong(`${result} are missing`)
    const isFinal = operation.client.consumer?.final === true
    for (const [name, records] of Object.entries(completion.records ?? {})) {
      const partition = this.partition(name)
      for (const [offset, value] of records) {
        partition.add({ offset, value, poll: operation as Operation<Poll> }, isFinal)
      }
    }
    if (!isFinal) return
    for (const [name, position] of Object.entries(completion.positions ?? {}))
      this.partition(name).finalReachedTo(position)
    for (const [name, [start, end]] of Object.entries(completion.ends ?? {}))
      this.partition(name).endsAt(start, end, operation as Operation<ListOffsets>)
  }
}
