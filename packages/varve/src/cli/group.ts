import type { Admin, CommittedOffset, GroupDescription, GroupMember } from '@varve/client'
import { brokerFailure } from './broker-failure.js'
import { Each } from './each.js'
import { Failure } from './failure.js'
import { printJson, table } from './table.js'
import { placeName } from './topic-places.js'
import { kafkaNameOf, withAdmin, type AdminCommandOptions } from './with-admin.js'

export interface ListGroupsOptions extends AdminCommandOptions {
  state?: string[]
}

export interface GroupsOptions extends AdminCommandOptions {
  allGroups?: boolean
}

export interface DescribeGroupOptions extends GroupsOptions {
  members?: boolean
}

/** How far a group is in a partition, and who reads it. */
interface Progress {
  readonly topic: string
  readonly partition: number
  /** Null where nothing has been committed. */
  readonly currentOffset: number | null
  /** Null where the partition is no more, or has no leader. */
  readonly logEndOffset: number | null
  readonly lag: number | null
  readonly memberId: string | null
  readonly host: string | null
  readonly clientId: string | null
}

export function groupFailure(error: unknown, group: string): unknown {
  const name = kafkaNameOf(error)
  const remedies: Record<string, string> = {
    GROUP_ID_NOT_FOUND: `there is no group ${group}. varve group list shows which there are`,
    NON_EMPTY_GROUP: `group ${group} has members. Stop its consumers first; varve group describe ${group} --members shows them`,
    UNKNOWN_MEMBER_ID: `group ${group} has members, which would overrule it. Stop its consumers first; varve group describe ${group} --members shows them`,
    GROUP_SUBSCRIBED_TO_TOPIC: `group ${group} reads it. Stop its consumers first; varve group describe ${group} --members shows them`,
  }
  const remedy = name === undefined ? undefined : remedies[name]
  return remedy === undefined ? error : new Failure(remedy, { cause: error })
}

export async function withGroup<T>(
  group: string,
  options: AdminCommandOptions,
  use: (admin: Admin) => Promise<T>,
): Promise<T> {
  return withAdmin(options, async (admin) => {
    try {
      return await use(admin)
    } catch (error) {
      throw groupFailure(error, group)
    }
  })
}

export async function listGroups(options: ListGroupsOptions): Promise<void> {
  await withAdmin(options, async (admin) => {
    const groups = await admin.listGroups({ states: options.state })
    if (options.json) return printJson(groups)
    if (groups.length === 0) {
      if (process.stderr.isTTY) process.stderr.write('There are no groups.\n')
      return
    }
    process.stdout.write(
      table(
        [
          { head: 'GROUP', cell: ({ groupId }) => groupId },
          { head: 'STATE', cell: ({ state }) => state },
          { head: 'TYPE', cell: ({ type }) => type },
          { head: 'PROTOCOL', cell: ({ protocolType }) => protocolType },
        ],
        groups,
      ),
    )
  })
}

/** The groups that were named, or all of consumers. */
export async function groupsOf(
  admin: Admin,
  named: readonly string[],
  { allGroups }: GroupsOptions,
): Promise<readonly string[]> {
  if ((named.length === 0) !== (allGroups === true))
    throw new Failure('name groups, or give --all-groups', { exitCode: 2 })
  if (!allGroups) return named
  // Members of other protocols, those of Connect for example, commit nothing.
  const isOfConsumers = (protocol: string): boolean => protocol === 'consumer' || protocol === ''
  return (await admin.listGroups())
    .filter(({ protocolType }) => isOfConsumers(protocolType))
    .map(({ groupId }) => groupId)
}

interface DescribedGroup {
  readonly group: GroupDescription
  /** Null where nobody asked. */
  readonly offsets: readonly Progress[] | null
}

export async function describeGroups(named: string[], options: DescribeGroupOptions): Promise<void> {
  await withAdmin(options, async (admin) => {
    const outcome = await Each.of(
      await groupsOf(admin, named, options),
      async (name): Promise<DescribedGroup> => {
        const [group] = await admin.describeGroups([name])
        if (options.members) return { group: group!, offsets: null }
        return { group: group!, offsets: await progressOf(admin, group!, await admin.listGroupOffsets(name)) }
      },
      (error, name) => brokerFailure(groupFailure(error, name), options.broker),
    )
    const isSingle = named.length === 1
    if (!options.json) process.stdout.write(outcome.done.map((each) => groupText(each, isSingle)).join('\n'))
    else if (!isSingle) printJson(outcome.done.map((each) => groupJson(each)))
    else if (outcome.done.length > 0) {
      const { group, offsets } = outcome.done[0]!
      printJson(offsets === null ? group.members : groupJson({ group, offsets }))
    }
    outcome.report()
  })
}

function groupJson({ group, offsets }: DescribedGroup): object {
  const { groupId, members, state, assignor, coordinator, type } = group
  return { groupId, state, type, assignor, coordinator, ...(offsets === null ? { members } : { offsets }) }
}

function groupText({ group, offsets }: DescribedGroup, isSingle: boolean): string {
  const { groupId, members, state, assignor, coordinator } = group
  if (offsets === null && isSingle) return membersText(members)
  const head = [`state ${state}`, assignor === '' ? '' : `assignor ${assignor}`, `coordinator ${coordinator}`]
  const about = offsets === null ? membersText(members) : progressText(offsets)
  return `${groupId}  ${head.filter((part) => part !== '').join(', ')}\n${about}`
}

async function progressOf(
  admin: Admin,
  { members }: GroupDescription,
  committed: readonly CommittedOffset[],
): Promise<Progress[]> {
  const offsets = new Map(committed.map((each) => [placeName(each), each.offset]))
  const readers = new Map<string, GroupMember>()
  for (const member of members) for (const each of member.assignment) readers.set(placeName(each), member)
  const all = new Map(
    [...committed, ...members.flatMap(({ assignment }) => assignment)].map((each) => [placeName(each), each]),
  )
  const ends = await endOffsets(admin, [...all.values()])
  return [...all.values()]
    .sort((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
    .map(({ topic, partition }) => {
      const key = placeName({ topic, partition })
      const currentOffset = offsets.get(key) ?? null
      const logEndOffset = ends.get(key) ?? null
      const reader = readers.get(key)
      return {
        topic,
        partition,
        currentOffset,
        logEndOffset,
        lag: currentOffset === null || logEndOffset === null ? null : logEndOffset - currentOffset,
        memberId: reader?.memberId ?? null,
        host: reader?.clientHost ?? null,
        clientId: reader?.clientId ?? null,
      }
    })
}

/** A group's offsets outlive its topics, so that not every partition has an end. */
async function endOffsets(
  admin: Admin,
  partitions: ReadonlyArray<{ topic: string; partition: number }>,
): Promise<Map<string, number>> {
  const topics = new Map((await admin.listTopics()).map((topic) => [topic.name, topic]))
  const there = partitions.filter(
    ({ topic, partition }) => (topics.get(topic)?.partitions[partition]?.leader ?? -1) >= 0,
  )
  const found = await admin.listOffsets(there.map((each) => ({ ...each, timestamp: 'latest' as const })))
  return new Map(found.map((each) => [placeName(each), each.offset]))
}

function progressText(rows: readonly Progress[]): string {
  return table(
    [
      { head: 'TOPIC', cell: ({ topic }) => topic },
      { head: 'PARTITION', right: true, cell: ({ partition }) => partition },
      { head: 'CURRENT-OFFSET', right: true, cell: ({ currentOffset }) => currentOffset },
      { head: 'LOG-END-OFFSET', right: true, cell: ({ logEndOffset }) => logEndOffset },
      { head: 'LAG', right: true, cell: ({ lag }) => lag },
      { head: 'CONSUMER-ID', cell: ({ memberId }) => memberId },
      { head: 'HOST', cell: ({ host }) => host },
      { head: 'CLIENT-ID', cell: ({ clientId }) => clientId },
    ],
    rows,
  )
}

function membersText(members: readonly GroupMember[]): string {
  return table(
    [
      { head: 'CONSUMER-ID', cell: ({ memberId }) => memberId },
      { head: 'INSTANCE-ID', cell: ({ groupInstanceId }) => groupInstanceId },
      { head: 'HOST', cell: ({ clientHost }) => clientHost },
      { head: 'CLIENT-ID', cell: ({ clientId }) => clientId },
      { head: 'PARTITIONS', right: true, cell: ({ assignment }) => assignment.length },
      { head: 'ASSIGNMENT', cell: ({ assignment }) => assignment.map(placeName).join(' ') },
    ],
    members,
  )
}

export async function deleteGroups(named: string[], options: GroupsOptions): Promise<void> {
  await withAdmin(options, async (admin) => {
    const outcome = await Each.of(
      await groupsOf(admin, named, options),
      async (group) => {
        await admin.deleteGroups([group])
        if (!options.json) process.stdout.write(`Deleted ${group}\n`)
        return group
      },
      (error, group) => brokerFailure(groupFailure(error, group), options.broker),
    )
    if (options.json) printJson({ deleted: outcome.done, failed: outcome.failed })
    outcome.report()
  })
}
