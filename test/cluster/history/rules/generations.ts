import type { Assigned, Commit } from '../event.js'
import type { Finding } from '../finding.js'
import type { History } from '../history.js'

/**
 * In one generation of a group a partition has one owner; and the coordinator, who knows of a generation before any of its members,
 * takes no commits of older ones any more.
 */
export function* generations(history: History): Iterable<Finding> {
  const owners = new Map<string, Assigned>()
  const newest = new Map<string, Assigned>()
  for (const event of history.events) {
    const group = history.clients.get(event.client)!.consumer?.group
    if (group === undefined) continue
    if (event.type === 'assigned' && event.generation !== undefined) {
      if (event.generation > (newest.get(group)?.generation ?? -1)) newest.set(group, event)
      yield* otherOwner(group, event, owners)
    } else if (event.type === 'invoke' && event.call === 'commit' && newest.has(group)) {
      yield* oldCommit(history, group, event, newest.get(group)!)
    }
  }
}

function* otherOwner(group: string, event: Assigned, owners: Map<string, Assigned>): Iterable<Finding> {
  for (const partition of Object.keys(event.positions)) {
    const subject = `${group} ${partition}`
    const owner = owners.get(`${subject} ${event.generation}`)
    owners.set(`${subject} ${event.generation}`, event)
    if (owner === undefined || owner.client === event.client) continue
    yield {
      rule: 'two owners in one generation',
      subject,
      partition,
      offset: null,
      what: `${owner.client} and ${event.client} were both assigned it in generation ${event.generation}`,
      evidence: [owner, event],
    }
  }
}

function* oldCommit(history: History, group: string, commit: Commit, newest: Assigned): Iterable<Finding> {
  const { outcome, events } = history.operationOf(commit)
  if (outcome !== 'ok' || newest.time >= commit.time) return
  if (commit.generation === undefined || commit.generation >= newest.generation!) return
  const [partition, offset] = Object.entries(commit.offsets)[0] ?? ['', null]
  yield {
    rule: 'commit of an old generation',
    subject: `${group} ${partition}`,
    partition,
    offset,
    what: `${commit.client} committed as a member of generation ${commit.generation}, when there was ${newest.generation}`,
    evidence: [newest, ...events],
  }
}
