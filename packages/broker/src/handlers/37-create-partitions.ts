/**
 * CreatePartitions (37), versions 0 to 3. One request adds at most 10,000 partitions. The answer comes when the partitions
 * are there; a broker that is alone ignores the timeout. Internal topics get none: which partition a group is in depends on their number. Kafka
 * lets them have some, and does not find its groups any more.
 */
import { type CreatePartitionsRequest, type CreatePartitionsResponseInput, errors } from '@varve/protocol'
import { targetReplicas } from '@varve/replication'
import { Refusal, refusalOf } from '../refusal.js'
import { checkReplicas } from '../replica-assignment.js'
import type { RequestContext } from '../request-context.js'
import { mostPartitions } from '../topic.js'
import { isInternalTopic } from '../topic-name.js'

type Wanted = CreatePartitionsRequest['topics'][number]

export async function handleCreatePartitions(
  request: CreatePartitionsRequest,
  context: RequestContext,
): Promise<CreatePartitionsResponseInput> {
  const seen = new Map<string, number>()
  for (const { name } of request.topics) seen.set(name, (seen.get(name) ?? 0) + 1)
  let partitionsLeft = mostPartitions
  const results: { name: string; errorCode: number; errorMessage: string | null }[] = []
  for (const wanted of request.topics) {
    const { name } = wanted
    const times = seen.get(name)!
    // Kafka answers a name that occurs more than once with one refusal.
    if (times === 0) continue
    seen.set(name, 0)
    try {
      if (times > 1) throw new Refusal(errors.INVALID_REQUEST, 'Duplicate topic name.')
      partitionsLeft -= await add(wanted, partitionsLeft, request.validateOnly, context)
      results.push({ name, errorCode: 0, errorMessage: null })
    } catch (thrown) {
      const { error, message } = refusalOf(thrown)
      results.push({ name, errorCode: error.code, errorMessage: message })
    }
  }
  return { throttleTimeMs: 0, results }
}

/** Resolves with the number of partitions that are new. */
async function add(
  { name, count, assignments }: Wanted,
  partitionsLeft: number,
  validateOnly: boolean,
  { broker }: RequestContext,
): Promise<number> {
  await broker.topics.settled(name)
  const topic = broker.topics.get(name)
  if (topic === undefined) {
    throw new Refusal(errors.UNKNOWN_TOPIC_OR_PARTITION, 'This server does not host this topic-partition.')
  }
  if (isInternalTopic(name)) {
    throw new Refusal(errors.INVALID_REQUEST, `Groups would be looked for in other partitions of ${name}.`)
  }
  const present = topic.partitions.length
  if (count === present) {
    throw new Refusal(errors.INVALID_PARTITIONS, `Topic already has ${present} partition(s).`)
  }
  if (count < present) {
    throw new Refusal(
      errors.INVALID_PARTITIONS,
      `The topic ${name} currently has ${present} partition(s); ${count} would not be an increase.`,
    )
  }
  const added = count - present
  if (added > partitionsLeft) {
    throw new Refusal(
      errors.POLICY_VIOLATION,
      'Excessively large number of additional partitions per request.',
    )
  }
  if (assignments !== null) {
    if (assignments.length !== added) {
      throw new Refusal(
        errors.INVALID_REPLICA_ASSIGNMENT,
        `Attempted to add ${added} additional partition(s), but only ${assignments.length} assignment(s) were specified.`,
      )
    }
    const { length: replicationFactor } = targetReplicas(topic.partitions[0]!.state)
    const known = broker.cluster.brokerIds()
    for (const { brokerIds } of assignments) checkReplicas(brokerIds, known, replicationFactor)
  }
  if (!validateOnly)
    await broker.topics.addPartitions(
      topic,
      count,
      assignments?.map(({ brokerIds }) => brokerIds),
    )
  return added
}
