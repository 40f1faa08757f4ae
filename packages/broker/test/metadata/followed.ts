import type { MetadataEntry, MetadataEvent } from '@varve/replication'
import { expect, onTestFinished } from 'vitest'
import type { MetadataStore } from '../../src/metadata/metadata-store.js'

/** What a follower has been told, and what the store holds by that. */
export class Followed {
  readonly entries = new Map<string, MetadataEntry>()
  /** One for each call. */
  readonly calls: ('reset' | readonly MetadataEvent[])[] = []
  readonly failures: string[] = []
  revision = 0
  close: () => void = () => {}

  static on(store: MetadataStore, prefix = '/'): Followed {
    const followed = new Followed()
    const following = store.follow(prefix, {
      reset: (entries, revision) => followed.#reset(entries, revision),
      events: (events) => followed.#apply(events),
      failed: ({ code }) => followed.failures.push(code),
    })
    followed.close = () => following.close()
    onTestFinished(followed.close)
    return followed
  }

  get events(): MetadataEvent[] {
    return this.calls.flatMap((call) => (call === 'reset' ? [] : call))
  }

  get values(): Record<string, string> {
    return Object.fromEntries([...this.entries.values()].map(({ key, value }) => [key, value]))
  }

  /** Waits for the store to have been told as it is, up to a revision. */
  async until(revision: number): Promise<void> {
    await expect.poll(() => this.revision, { interval: 5 }).toBeGreaterThanOrEqual(revision)
  }

  #reset(entries: readonly MetadataEntry[], revision: number): void {
    expect(revision).toBeGreaterThanOrEqual(this.revision)
    this.calls.push('reset')
    this.entries.clear()
    for (const entry of entries) this.entries.set(entry.key, entry)
    this.revision = revision
  }

  #apply(events: readonly MetadataEvent[]): void {
    // Parted over two calls, a revision would be there twice.
    expect(events[0]!.revision).toBeGreaterThan(this.revision)
    this.calls.push(events)
    for (const event of events) {
      expect(event.revision).toBeGreaterThanOrEqual(this.revision)
      this.revision = event.revision
      if (event.kind === 'delete') this.entries.delete(event.key)
      else {
        const { kind: _kind, ...entry } = event
        this.entries.set(event.key, entry)
      }
    }
  }
}
