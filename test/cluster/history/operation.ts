import type { Completion, HistoryEvent, Invoke, Produce, Start } from './event.js'

/** A call of a client, and what became of it. */
export class Operation<Call extends Invoke = Invoke> {
  readonly client: Start
  readonly invoke: Call
  completion: Completion | null = null

  constructor(client: Start, invoke: Call) {
    this.client = client
    this.invoke = invoke
  }

  /** A call whose end nobody has seen may have happened, as one of which the client says so. */
  get outcome(): 'ok' | 'fail' | 'info' {
    return this.completion?.type ?? 'info'
  }

  /** When it was over for good; what nobody knows the outcome of may yet take effect. */
  get endedAt(): number {
    return this.outcome === 'info' ? Infinity : this.completion!.time
  }

  /** Of a produce: the offset that was acknowledged. */
  get offset(): number | null {
    return this.completion?.type === 'ok' ? (this.completion.offset ?? null) : null
  }

  /** Of a produce: whether it was promised that the record stays. */
  get isPromised(): boolean {
    return this.outcome === 'ok' && this.client.producer?.acks === 'all'
  }

  get events(): HistoryEvent[] {
    return this.completion === null ? [this.invoke] : [this.invoke, this.completion]
  }
}

export type Write = Operation<Produce>
