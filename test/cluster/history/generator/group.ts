import { SimulatedConsumer } from './consumer.js'
import type { SimulatedPartition } from './partition.js'
import type { Recorder } from './recorder.js'

interface OpenCommit {
  readonly operation: number
  readonly generation: number
  readonly offsets: ReadonlyMap<SimulatedPartition, number>
  /** Whether the coordinator has taken it, null before it came there. */
  isTaken: boolean | null
  isReported: boolean
}

/** A coordinator: generations, what each member owns, and what was committed. */
export class SimulatedGroup {
  readonly #recorder: Recorder
  readonly #partitions: readonly SimulatedPartition[]
  readonly committed = new Map<SimulatedPartition, number>()
  members: Member[] = []
  generation = 0

  constructor(recorder: Recorder, partitions: readonly SimulatedPartition[]) {
    this.#recorder = recorder
    this.#partitions = partitions
  }

  join(): void {
    this.members.push(new Member(this.#recorder, this))
    this.generation++
  }

  crash(): void {
    const alive = this.members.filter(({ isAlive }) => isAlive)
    if (alive.length > 0) this.#recorder.random.pick(alive).crash()
  }

  /** The coordinator misses a member, and notices. */
  step(): void {
    const { random } = this.#recorder
    const alive = this.members.filter(({ isAlive }) => isAlive)
    if (alive.length < this.members.length || random.chance(0.02)) {
      this.members = alive
      this.generation++
    }
    if (this.members.length < 2 && random.chance(0.2)) this.join()
    if (this.members.length > 0) random.pick(this.members).step()
  }

  ownedBy(member: Member): SimulatedPartition[] {
    const index = this.members.indexOf(member)
    return this.#partitions.filter((_, i) => (i + this.generation) % this.members.length === index)
  }
}

class Member extends SimulatedConsumer {
  readonly #group: SimulatedGroup
  #generation = 0
  #commits: OpenCommit[] = []
  #committed: number | null = null
  #answer: Record<string, number | null> | null = null

  constructor(recorder: Recorder, group: SimulatedGroup) {
    super(recorder, recorder.start('member', { consumer: { group: 'group', reset: 'earliest' } }))
    this.#group = group
  }

  override step(): void {
    const { random } = this.recorder
    this.#arrive()
    if (this.#generation < this.#group.generation && random.chance(0.3)) this.#rejoin()
    else if (this.#generation > 0 && random.chance(0.15)) this.#commit()
    else if (random.chance(0.2)) this.#endCommit()
    else if (random.chance(0.1)) this.#ask()
    else super.step()
  }

  #rejoin(): void {
    if (this.positions.size > 0)
      this.recorder.record(this.client, {
        type: 'revoked',
        partitions: [...this.positions.keys()].map(({ name }) => name),
      })
    this.positions.clear()
    this.#generation = this.#group.generation
    const owned = this.#group.ownedBy(this)
    this.assign(
      new Map(
        owned.map((partition) => [
          partition,
          Math.max(partition.start, this.#group.committed.get(partition) ?? 0),
        ]),
      ),
      this.#generation,
    )
  }

  #commit(): void {
    const offsets = new Map(this.positions)
    if (offsets.size === 0) return
    const operation = this.operations.invoke({
      call: 'commit',
      offsets: Object.fromEntries([...offsets].map(([{ name }, offset]) => [name, offset])),
      generation: this.#generation,
    })
    this.#commits.push({ operation, generation: this.#generation, offsets, isTaken: null, isReported: false })
  }

  /** A commit comes to the coordinator, perhaps long after its member has given up waiting for it, or never. */
  #arrive(): void {
    const { random } = this.recorder
    const open = this.#commits.filter(({ isTaken }) => isTaken === null)
    if (open.length === 0 || random.chance(0.6)) return
    const commit = random.pick(open)
    commit.isTaken = commit.generation === this.#group.generation
    if (!commit.isTaken) return
    for (const [partition, offset] of commit.offsets) this.#group.committed.set(partition, offset)
  }

  #endCommit(): void {
    const { random } = this.recorder
    const commit = this.#commits.find(({ isReported }) => !isReported)
    if (commit === undefined) return
    if (random.chance(0.2)) this.operations.end(commit.operation, 'info', 'REQUEST_TIMED_OUT')
    else if (commit.isTaken === null) return
    else if (commit.isTaken) this.operations.ok(commit.operation)
    else this.operations.end(commit.operation, 'fail', 'ILLEGAL_GENERATION')
    commit.isReported = true
    this.#commits = this.#commits.filter(({ isReported, isTaken }) => !isReported || isTaken === null)
  }

  #ask(): void {
    if (this.#committed === null) {
      this.#committed = this.operations.invoke({ call: 'committed' })
    } else if (this.#answer === null) {
      const committed = [...this.positions.keys()].map((partition) => [
        partition.name,
        this.#group.committed.get(partition) ?? null,
      ])
      this.#answer = Object.fromEntries(committed) as Record<string, number | null>
    } else {
      this.operations.ok(this.#committed, { offsets: this.#answer })
      this.#committed = null
      this.#answer = null
    }
  }
}
