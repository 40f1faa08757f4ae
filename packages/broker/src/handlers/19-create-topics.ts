/**
 * CreateTopics (19), versions 2 to 7.
 *
 * Names, partitions, replication factor, manual assignments, configurations and `validateOnly` follow Kafka, with Kafka's
 * codes. A configuration that would have to act and does not may have its default value only, because a setting that is
 * silently ignored is worse than a refused one. With `validateOnly` the topic id is zero, where Kafka invents one that will
 * never exist. The answer comes when the topics are there; a broker that is alone ignores the timeout.
 */
import { topicNameProblem } from '@varve/log'
import { type CreateTopicsRequest, type CreateTopicsResponseInput, errors, ZERO_UUID } from '@varve/protocol'
import { errorFields } from '../broker-log.js'
import { VarveError } from '@varve/records'
import type { BrokerState } from '../broker-state.js'
import { configSources } from '../configs/broker-configs.js'
import { checkTopicConfigs, givenValues } from '../configs/checked-configs.js'
import { topicConfigs } from '../configs/config-tables.js'
import type { ConfigValues } from '../configs/stored-configs.js'
import { topicSynonyms, topicValue } from '../configs/topic-settings.js'
import { isBroker } from '../forwarded-requests.js'
import { kafkaErrorOf } from '../kafka-error.js'
import { Refusal } from '../refusal.js'
import { checkReplicas } from '../replica-assignment.js'
import type { RequestContext } from '../request-context.js'
import { storageFailureText } from '../storage-failure.js'
import { mostPartitions } from '../topic.js'
import { isInternalTopic } from '../topic-name.js'
import type { TopicLayout } from '../topics.js'

type CreatableTopic = CreateTopicsRequest['topics'][number]
type Result = NonNullable<CreateTopicsResponseInput['topics']>[number]

export async function handleCreateTopics(
  request: CreateTopicsRequest,
  context: RequestContext,
): Promise<CreateTopicsResponseInput> {
  const count = new Map<string, number>()
  for (const { name } of request.topics) count.set(name, (count.get(name) ?? 0) + 1)
  // One after the other is looked at, for what it may collide with, and all of them are made together.
  const results: (Result | Promise<Result>)[] = []
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
    try {
      const wanted = validate(topic, partitionsLeft, context)
      partitionsLeft -= wanted.partitions
      results.push(create(topic.name, wanted, request.validateOnly, context))
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      results.push(refused(topic.name, error))
    }
  }
  return { topics: await Promise.all(results) }
}

/** What is to be created. */
interface Wanted {
  readonly layout: TopicLayout
  readonly partitions: number
  readonly replicationFactor: number
  readonly configs: ConfigValues
}

/** @throws Refusal */
function validate(topic: CreatableTopic, partitionsLeft: number, context: RequestContext): Wanted {
  const { broker } = context
  const { name, numPartitions, replicationFactor, assignments, configs } = topic
  const problem = topicNameProblem(name)
  if (problem !== null) throw new Refusal(errors.INVALID_TOPIC_EXCEPTION, problem)
  if (isInternalTopic(name) && !isBroker(context)) {
    throw new Refusal(errors.INVALID_REQUEST, `Creation of internal topic ${name} is prohibited.`)
  }
  if (broker.topics.get(name) !== undefined) {
    throw new Refusal(errors.TOPIC_ALREADY_EXISTS, `Topic '${name}' already exists.`)
  }
  const other = broker.topics.collidingWith(name)
  if (other !== undefined) {
    throw new Refusal(
      errors.INVALID_TOPIC_EXCEPTION,
      `Topic '${name}' collides with existing topic: ${other}`,
    )
  }
  const assigned = assignments.length > 0 ? validateAssignments(topic, broker.cluster.brokerIds()) : null
  const partitions = assigned?.length ?? numPartitions
  const factor =
    replicationFactor === -1 ? broker.configs.number('default.replication.factor') : replicationFactor
  if (assignments.length === 0) {
    if (replicationFactor === 0 || replicationFactor < -1) {
      throw new Refusal(
        errors.INVALID_REPLICATION_FACTOR,
        'Replication factor must be larger than 0, or -1 to use the default value.',
      )
    }
    if (partitions === 0 || partitions < -1) {
      throw new Refusal(
        errors.INVALID_PARTITIONS,
        'Number of partitions was set to an invalid non-positive value.',
      )
    }
    const { availableBrokers } = broker.cluster
    if (factor > availableBrokers) {
      const are = availableBrokers < broker.cluster.brokerIds().size ? 'unfenced' : 'registered'
      throw new Refusal(
        errors.INVALID_REPLICATION_FACTOR,
        `Unable to replicate the partition ${factor} time(s): The target replication factor of ` +
          `${factor} cannot be reached because only ${availableBrokers} broker(s) are ${are}.`,
      )
    }
  }
  const count = partitions === -1 ? broker.defaultPartitions : partitions
  if (count > partitionsLeft) {
    throw new Refusal(errors.POLICY_VIOLATION, `One request creates at most ${mostPartitions} partitions.`)
  }
  return {
    layout: assigned === null ? { partitions: count, replicationFactor: factor } : { assignments: assigned },
    partitions: count,
    replicationFactor: assigned === null ? factor : assigned[0]!.length,
    configs: checkTopicConfigs(givenValues(configs, errors.INVALID_CONFIG)),
  }
}

/**
 * The replicas of each partition, as they have been assigned.
 *
 * @throws Refusal
 */
function validateAssignments(topic: CreatableTopic, known: ReadonlySet<number>): (readonly number[])[] {
  if (topic.replicationFactor !== -1) {
    throw new Refusal(
      errors.INVALID_REQUEST,
      'A manual partition assignment was specified, but replication factor was not set to -1.',
    )
  }
  if (topic.numPartitions !== -1) {
    throw new Refusal(
      errors.INVALID_REQUEST,
      'A manual partition assignment was specified, but numPartitions was not set to -1.',
    )
  }
  const wrong = (message: string): Refusal => new Refusal(errors.INVALID_REPLICA_ASSIGNMENT, message)
  const seen = new Map<number, readonly number[]>()
  for (const { partitionIndex, brokerIds } of topic.assignments) {
    if (seen.has(partitionIndex)) {
      throw wrong(`Found multiple manual partition assignments for partition ${partitionIndex}`)
    }
    seen.set(partitionIndex, brokerIds)
    checkReplicas(brokerIds, known, topic.assignments[0]!.brokerIds.length)
  }
  return Array.from({ length: seen.size }, (_, index) => {
    const replicas = seen.get(index)
    if (replicas === undefined) throw wrong('partitions should be a consecutive 0-based integer sequence')
    return replicas
  })
}

async function create(
  name: string,
  { layout, partitions, replicationFactor, configs }: Wanted,
  validateOnly: boolean,
  { broker }: RequestContext,
): Promise<Result> {
  const created = {
    name,
    errorCode: 0,
    errorMessage: null,
    numPartitions: partitions,
    replicationFactor,
    configs: describe(configs, broker),
  }
  if (validateOnly) return { ...created, topicId: ZERO_UUID }
  try {
    const topic = await broker.topics.create(name, layout, configs)
    return { ...created, topicId: topic.id }
  } catch (error) {
    if (VarveError.is(error) && error.code === 'VARVE_TOPIC_EXISTS') {
      return refused(name, new Refusal(errors.TOPIC_ALREADY_EXISTS, `Topic '${name}' already exists.`))
    }
    if (error instanceof Refusal) return refused(name, error)
    const text = storageFailureText(error, 'create it again')
    broker.log('error', `could not create the topic ${name}: ${text}`, { topic: name, ...errorFields(error) })
    return refused(name, new Refusal(kafkaErrorOf(error), text))
  }
}

/** All configurations that the topic has or takes from the broker, as DescribeConfigs would answer them. */
function describe(configs: ConfigValues, broker: BrokerState): NonNullable<Result['configs']> {
  return [...topicConfigs.values()]
    .filter(({ service }) => service !== 'hidden')
    .map(({ name }) => ({
      name,
      value: topicValue(name, configs, broker.configs),
      readOnly: false,
      configSource:
        configSources[topicSynonyms(name, configs, broker.configs)[0]?.source ?? 'DEFAULT_CONFIG'],
      isSensitive: false,
    }))
}

function refused(name: string, { error, message }: Refusal): Result {
  return { name, topicId: ZERO_UUID, errorCode: error.code, errorMessage: message, configs: [] }
}
