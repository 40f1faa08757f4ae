/** What an entry is about. */
export const entryKinds = [
  'faults',
  'administrator',
  'controller',
  'brokers',
  'roles',
  'in-sync',
  'log',
  'producers',
  'consumers',
  'violation',
] as const
export type EntryKind = (typeof entryKinds)[number]

export interface TimelineEntry {
  /** In ms of virtual time. */
  readonly at: number
  /** Such as `broker 2`. */
  readonly who: string
  /** Such as `orders-0`; null when it concerns none, or many. */
  readonly partition: string | null
  readonly kind: EntryKind
  readonly text: string
}

/** What happened in a run, for people. Collects nothing unless it is asked to, since most runs are read by nobody. */
export class Timeline {
  readonly #entries: TimelineEntry[] | null
  readonly #now: () => number
  readonly #names = new Map<string, string>()

  constructor(now: () => number, recording: boolean) {
    this.#now = now
    this.#entries = recording ? [] : null
  }

  /** Ask before a text is put together. */
  get recording(): boolean {
    return this.#entries !== null
  }

  /** Keys of partitions are told by this name from now on. */
  nameTopic(topicId: string, name: string): void {
    this.#names.set(topicId, name)
  }

  /** With `orders-0` where the store's key of that partition stands. */
  named(text: string): string {
    return text.replaceAll(
      /\/partitions\/([^\s/]+)\/(\d+)/g,
      (_, topicId: string, partition: string) => `${this.#names.get(topicId) ?? topicId}-${partition}`,
    )
  }

  /** `partition` is its key in the store. */
  tell(kind: EntryKind, who: string, text: string, partition: string | null = null): void {
    const about = partition === null ? null : this.named(partition)
    this.#entries?.push({ at: this.#now(), who, partition: about, kind, text: this.named(text) })
  }

  get entries(): readonly TimelineEntry[] {
    return this.#entries ?? []
  }
}

/** Such as `reassign, partitions (topic orders, partition 0, replicas 1 2)`, for a request or an answer. */
export function inWords(value: object): string {
  const words = Object.entries(value)
    .filter(([key, each]) => key !== 'topicId' && !(key === 'error' && each === null) && !isEmpty(each))
    .map(([key, each]) => (key === 'kind' ? String(each) : `${wordsOf(key)} ${valueInWords(each)}`))
  return words.join(', ') || 'that it is done'
}

const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0

function valueInWords(value: unknown): string {
  if (Array.isArray(value)) return value.map(valueInWords).join(typeof value[0] === 'object' ? '; ' : ' ')
  if (typeof value === 'object' && value !== null) return `(${inWords(value)})`
  return value === null ? 'none' : String(value)
}

/** `replicationFactor` as `replication factor`; names with dots stay. */
function wordsOf(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}
