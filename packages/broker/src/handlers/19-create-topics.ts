/**
 * CreateTopics (19), versions 2 to 7.
 *
 * Names, partitions, replication factor, manual assignments and `validateOnly` follow Kafka, with Kafka's codes. A topic
 * that names any configuration is refused with INVALID_CONFIG, because none is honoured yet and a setting that is
 * silently ignored is worse than a refused one; for the same reason the response lists no configurations. With
 * `validateOnly` the topic id is zero, where Kafka invents one that will never exist. The timeout is ignored: the answer
 * comes when the topics are there.
 */
import { topicNameProblem } from '@varve/log'
import { type CreateTopicsRequest, type CreateTopicsResponseInput, errors, ZERO_UUID } from '@varve/protocol'
import { VarveError } from '@varve/records'
import { type KafkaError, kafkaErrorOf } from '../kafka-error.js'
import type { RequestContext } from '../request-context.js'
import { storageFailureText } from '../storage-failure.js'
import { isInternalTopic } from '../topic-name.js'

/** Kafka's limit on what one operation may create. */
const mostPartitions = 10_000

type CreatableTopic = CreateTopicsRequest['topics'][number]
type Result = NonNullable<CreateTopicsResponseInput['topics']>[number]

class Refusal {
  readonly error: KafkaError
  readonly message: string

  constructor(error: KafkaError, message: string) {
    this.error = error
    this.message = message
  }
}

export async function handleCreateTopics(
  request: CreateTopicsRequest,
  context: RequestContext,
): Promise<CreateTopicsResponseInput> {
  const count = new Map<string, number>()
  for (const { name } of request.topics) count.set(name, (count.get(name) ?? 0) + 1)
  const results: Result[] = []
  let partitionsLeft = mostPartitions
  for (const topic of request.topics) {
    const times = count.get(topic.name)!
    if (times === 0) continue
    if (times > 1) {
      // Kafka answers a name that occurs more than once with one refusal.
      count.set(topic.name, 0)
      results.push(refused(topic.name, new Refusal(errors.INVALID_REQUEST, 'Duplicate topic name.')))
      continue
    }
    await context.broker.topics.settled(topic.name)
    const partitions = validate(topic, partitionsLeft, context)
    if (partitions instanceof Refusal) {
      results.push(refused(topic.name, partitions))
      continue
    }
    partitionsLeft -= partitions
    results.push(await create(topic.name, partitions, request.validateOnly, context))
  }
  return { topics: results }
}

/** The number of partitions to create, or why not. */
function validate(
  topic: CreatableTopic,
  partitionsLeft: number,
  { broker }: RequestContext,
): number | Refusal {
  const { name, numPartitions, replicationFactor, assignments, configs } = topic
  const problem = topicNameProblem(name)
  if (problem !== null) return new Refusal(errors.INVALID_TOPIC_EXCEPTION, problem)
  if (isInternalTopic(name)) {
    return new Refusal(errors.INVALID_REQUEST, `Creation of internal topic ${name} is prohibited.`)
  }
  if (broker.topics.get(name) !== undefined) {
    return new Refusal(errors.TOPIC_ALREADY_EXISTS, `Topic '${name}' already exists.`)
  }
  const other = broker.topics.collidingWith(name)
  if (other !== undefined) {
    return new Refusal(
      errors.INVALID_TOPIC_EXCEPTION,
      `Topic '${name}' collides with existing topic: ${other}`,
    )
  }
  if (configs.length > 0) {
    const names = configs.map((config) => config.name).join(', ')
    return new Refusal(
      errors.INVALID_CONFIG,
      `Topic configurations are not supported yet: ${names.slice(0, 300)}`,
    )
  }
  const partitions = assignments.length > 0 ? validateAssignments(topic, broker.nodeId) : numPartitions
  if (partitions instanceof Refusal) return partitions
  if (assignments.length === 0) {
    if (replicationFactor === 0 || replicationFactor < -1) {
      return new Refusal(
        errors.INVALID_REPLICATION_FACTOR,
        'Replication factor must be larger than 0, or -1 to use the default value.',
      )
    }
    if (partitions === 0 || partitions < -1) {
      return new Refusal(
        errors.INVALID_PARTITIONS,
        'Number of partitions was set to an invalid non-positive value.',
      )
    }
    if (replicationFactor > 1) {
      return new Refusal(
        errors.INVALID_REPLICATION_FACTOR,
        `Unable to replicate the partition ${replicationFactor} time(s): The target replication factor of ` +
          `${replicationFactor} cannot be reached because only 1 broker(s) are registered.`,
      )
    }
  }
  const count = partitions === -1 ? broker.defaultPartitions : partitions
  if (count > partitionsLeft) {
    return new Refusal(errors.POLICY_VIOLATION, `One request creates at most ${mostPartitions} partitions.`)
  }
  return count
}

function validateAssignments(topic: CreatableTopic, nodeId: number): number | Refusal {
  if (topic.replicationFactor !== -1) {
    return new Refusal(
      errors.INVALID_REQUEST,
      'A manual partition assignment was specified, but replication factor was not set to -1.',
    )
  }
  if (topic.numPartitions !== -1) {
    return new Refusal(
      errors.INVALID_REQUEST,
      'A manual partition assignment was specified, but numPartitions was not set to -1.',
    )
  }
  const wrong = (message: string): Refusal => new Refusal(errors.INVALID_REPLICA_ASSIGNMENT, message)
  const seen = new Set<number>()
  for (const { partitionIndex, brokerIds } of topic.assignments) {
    if (seen.has(partitionIndex)) {
      return wrong(`Found multiple manual partition assignments for partition ${partitionIndex}`)
    }
    seen.add(partitionIndex)
    if (brokerIds.length === 0)
      return wrong('The manual partition assignment includes an empty replica list.')
    const stranger = brokerIds.find((id) => id !== nodeId)
    if (stranger !== undefined) {
      return wrong(
        `The manual partition assignment includes broker ${stranger}, but no such broker is registered.`,
      )
    }
    if (brokerIds.length > 1) {
      return wrong(`The manual partition assignment includes the broker ${nodeId} more than once.`)
    }
  }
  for (let index = 0; index < seen.size; index++) {
    if (!seen.has(index)) return wrong('partitions should be a consecutive 0-based integer sequence')
  }
  return seen.size
}

async function create(
  name: string,
  partitions: number,
  validateOnly: boolean,
  { broker }: RequestContext,
): Promise<Result> {
  const created = {
    name,
    errorCode: 0,
    errorMessage: null,
    numPartitions: partitions,
    replicationFactor: 1,
    configs: [],
  }
  if (validateOnly) return { ...created, topicId: ZERO_UUID }
  try {
    const topic = await broker.topics.create(name, partitions)
    return { ...created, topicId: topic.id }
  } catch (error) {
    if (VarveError.is(error) && error.code === 'VARVE_TOPIC_EXISTS') {
      return refused(name, new Refusal(errors.TOPIC_ALREADY_EXISTS, `Topic '${name}' already exists.`))
    }
    const text = storageFailureText(error, 'create it again')
    broker.log('error', `could not create the topic ${name}: ${text}`)
    return refused(name, new Refusal(kafkaErrorOf(error), text))
  }
}

function refused(name: string, { error, message }: Refusal): Result {
  return { name, topicId: ZERO_UUID, errorCode: error.code, errorMessage: message, configs: [] }
}
