import type { CleanupPolicy } from '@varve/log'
import { hasExpired } from './changes.js'

/** What is in a log, by offset. */
export type Content = ReadonlyMap<number, string>

/** What a record's id tells: `key:run.truncations.lane.n.k`. */
export function keyOf(id: string): string {
  return id.slice(0, id.indexOf(':'))
}
function originOf(id: string): { run: number; truncations: number } {
  const [run, truncations] = id.slice(id.indexOf(':') + 1).split('.', 2)
  return { run: Number(run), truncations: Number(truncations) }
}

interface Truncation {
  readonly number: number
  /** Nothing in front of it is touched. */
  readonly cut: number
  /** Where the log ended then; null as long as nobody said so. */
  end: number | null
}

/**
 * What the processes that had a log were promised and shown of it, one after the other: kept here, where their end cannot
 * take it back. What was asked for and not answered may have happened or not, but not by halves: a truncation leaves no hole,
 * compaction of each key the last record, and nothing lets a log start behind what was to be deleted.
 */
export class Ledger {
  /** By offset, the records that must be there, unless a later one of their key is. */
  readonly #records = new Map<number, string>()
  /** Those behind a cut that was asked for and not answered yet. */
  readonly #unsure = new Map<number, string>()
  /** Those behind one that will not be answered any more: there up to some offset, and not from there on. */
  readonly #doubtful = new Map<number, string>()
  /** Cut off for good. */
  readonly #gone = new Set<string>()
  /** Compacted away, perhaps, for the sake of a later record that may have been cut off since. */
  readonly #superseded = new Set<string>()
  #truncations: Truncation[] = []
  #run = 0
  #start = 0
  /** How far it was asked to delete. */
  #deletable = 0
  #hasPower = true
  readonly #contradictions: string[] = []
  /** How many records were missed by right: this suite would prove nothing without. */
  readonly missing = { truncated: 0, deleted: 0, compacted: 0 }

  readonly policy: CleanupPolicy

  constructor(policy: CleanupPolicy = 'delete') {
    this.policy = policy
  }

  get size(): number {
    return this.#records.size
  }

  get #compacts(): boolean {
    return this.policy !== 'delete'
  }

  /** From here on nothing that is answered counts, until the log is opened again; what is asked for may yet happen. */
  losePower(): void {
    this.#hasPower = false
  }

  /** Takes a line of a process. */
  take(kind: string, words: readonly string[]): void {
    const [first, second] = [Number(words[0]), Number(words[1])]
    if (kind === 'opening') this.#begin(first)
    else if (kind === 'truncating') this.#truncating(first, second)
    else if (kind === 'deleting') this.#deletable = Math.max(this.#deletable, first)
    else if (!this.#hasPower) return
    else if (kind === 'opened') this.#opened(first, second)
    else if (kind === 'acknowledged') words.slice(1).forEach((id, delta) => this.#promise(first + delta, id))
    else if (kind === 'shown') this.#promise(first, words[1]!)
    else if (kind === 'truncated') this.#truncated(first, second)
    else if (kind === 'deleted' || kind === 'retained') this.#startsAt(first)
  }

  /** Compares a log with everything that was promised of it. Returns what is wrong; from here on its content is promised. */
  compare(content: Content, start: number, end: number): string[] {
    this.#opened(start, end)
    const last = new Map<string, number>()
    for (const [offset, id] of content) last.set(keyOf(id), offset)
    const isCompacted = (offset: number, id: string): boolean =>
      this.#compacts && (this.#superseded.has(id) || last.get(keyOf(id))! > offset)
    const wrong = this.#contradictions.splice(0)
    let cut = Infinity
    for (const [offset, id] of [...this.#doubtful].sort(([a], [b]) => a - b)) {
      const isThere = content.get(offset) === id
      if (isThere && offset > cut)
        wrong.push(`${id} at offset ${offset} is there, but not what was at ${cut}`)
      else if (!isThere && !isCompacted(offset, id)) cut = Math.min(cut, offset)
      if (offset >= cut) this.#cutOff(id)
    }
    this.#doubtful.clear()
    for (const [offset, id] of this.#records) {
      if (content.get(offset) === id) continue
      if (isCompacted(offset, id)) {
        this.missing.compacted++
        continue
      }
      wrong.push(`${id} at offset ${offset} is missing; there is ${content.get(offset) ?? 'nothing'}`)
    }
    for (const [offset, id] of content) {
      if (this.#gone.has(id)) wrong.push(`${id} at offset ${offset} is there again, though it was cut off`)
    }
    this.#records.clear()
    for (const [offset, id] of content) this.#records.set(offset, id)
    this.#superseded.clear()
    return wrong
  }

  #begin(run: number): void {
    this.#run = run
    this.#truncations = []
    this.#hasPower = true
  }

  /** Whatever was under way has happened by now, or never will. */
  #opened(start: number, end: number): void {
    this.#truncations = []
    for (const [offset, id] of this.#unsure) this.#doubtful.set(offset, id)
    this.#unsure.clear()
    for (const [offset, id] of this.#doubtful) {
      if (offset < end) continue
      this.#doubtful.delete(offset)
      this.#cutOff(id)
    }
    for (const [offset, id] of this.#records) {
      if (offset < end) continue
      this.#records.delete(offset)
      if (!this.#superseded.has(id))
        this.#contradictions.push(`${id} at ${offset} is lost: ${end} is the end`)
    }
    this.#startsAt(start)
    this.#deletable = start
    this.#hasPower = true
  }

  #promise(offset: number, id: string): void {
    if (this.#place(offset, id)) this.#supersede(new Map([[keyOf(id), offset]]))
  }

  /** Returns whether it lies behind a cut that was asked for. */
  #place(offset: number, id: string): boolean {
    if (this.#gone.has(id)) return false
    const { run, truncations } = originOf(id)
    const seen = run === this.#run ? truncations : 0
    for (const { number, cut, end } of this.#truncations) {
      if (number <= seen || offset < (end ?? cut)) continue
      if (end === null) this.#unsure.set(offset, id)
      else this.#cutOff(id)
      return true
    }
    const other = this.#records.get(offset)
    if (other !== undefined && other !== id && this.#superseded.has(other)) {
      // Nothing of it was left in front of the cut, which then lay further in front, at the end of the last batch.
      this.#gone.add(other)
    } else if (other !== undefined && other !== id) {
      this.#contradictions.push(`offset ${offset} is that of ${other}, and of ${id}`)
    }
    const doubtful = this.#doubtful.get(offset)
    this.#doubtful.delete(offset)
    if (doubtful !== undefined && doubtful !== id) this.#cutOff(doubtful)
    // A reader may still hold what has been deleted, and an append be told where it was.
    if (offset >= this.#start) this.#records.set(offset, id)
    return false
  }

  #truncating(number: number, cut: number): void {
    this.#truncations.push({ number, cut, end: null })
    this.#placeAnew()
  }

  #truncated(number: number, end: number): void {
    const truncation = this.#truncations.find((truncation) => truncation.number === number)!
    truncation.end = end
    // Behind a gap there is nothing to lose.
    if (!this.#compacts && end < truncation.cut) {
      this.#contradictions.push(`a truncation behind ${truncation.cut} ended at ${end}`)
    }
    this.#placeAnew()
  }

  #placeAnew(): void {
    const all = [...this.#records, ...this.#unsure]
    this.#records.clear()
    this.#unsure.clear()
    const cut = new Map<string, number>()
    for (const [offset, id] of all) {
      const isCut = this.#place(offset, id)
      if (isCut) cut.set(keyOf(id), Math.max(offset, cut.get(keyOf(id)) ?? 0))
    }
    this.#supersede(cut)
  }

  /** Takes note of keys, and of offsets at which later records of them are cut off. */
  #supersede(cut: ReadonlyMap<string, number>): void {
    if (!this.#compacts) return
    for (const records of [this.#records, this.#unsure]) {
      for (const [offset, id] of records) {
        if (offset < (cut.get(keyOf(id)) ?? 0)) this.#superseded.add(id)
      }
    }
  }

  #cutOff(id: string): void {
    this.#gone.add(id)
    this.missing.truncated++
  }

  #startsAt(start: number): void {
    if (start < this.#start) {
      this.#contradictions.push(`the start went back from ${this.#start} to ${start}`)
    }
    for (const records of [this.#records, this.#unsure, this.#doubtful]) {
      for (const [offset, id] of records) {
        if (offset >= start) continue
        records.delete(offset)
        this.missing.deleted++
        const isRetained = this.policy === 'compact' || !hasExpired(originOf(id).run, this.#run)
        if (offset >= this.#deletable && isRetained) {
          this.#contradictions.push(`${id} at ${offset} was not to be deleted, but the start is ${start}`)
        }
      }
    }
    this.#start = Math.max(this.#start, start)
  }
}
