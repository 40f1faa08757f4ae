/**
 * DeleteTopics (20), versions 1 to 6, by name or by id.
 *
 * The answer comes when the topic is gone: nobody finds it any more, who waited at its partitions has been told, and its
 * directories are called `…-delete`. Their files go after `file.delete.delay.ms`; what a crash interrupts the next start
 * goes on with. A broker that is alone ignores the timeout. Internal topics can be deleted, as in Kafka.
 */
import { type DeleteTopicsRequest, type DeleteTopicsResponseInput, errors, ZERO_UUID } from '@varve/protocol'
import { Refusal, refusalOf } from '../refusal.js'
import type { RequestContext } from '../request-context.js'
import type { Topic } from '../topic.js'

const idsSince = 6

interface Named {
  readonly name: string | null
  readonly topicId: string
}

type Result = DeleteTopicsResponseInput['responses'][number]

export async function handleDeleteTopics(
  request: DeleteTopicsRequest,
  context: RequestContext,
): Promise<DeleteTopicsResponseInput> {
  const named: readonly Named[] =
    context.apiVersion >= idsSince
      ? request.topics
      : request.topicNames.map((name) => ({ name, topicId: ZERO_UUID }))
  const seen = new Map<string, number>()
  for (const one of named) seen.set(keyOf(one), (seen.get(keyOf(one)) ?? 0) + 1)
  const responses: (Result | Promise<Result>)[] = []
  for (const one of named) {
    const times = seen.get(keyOf(one))!
    // Kafka answers what occurs more than once with one refusal.
    if (times === 0) continue
    seen.set(keyOf(one), 0)
    try {
      if (times > 1)
        throw new Refusal(
          errors.INVALID_REQUEST,
          `Duplicate ${one.name === null ? 'topic id.' : 'topic name.'}`,
        )
      const topic = await find(one, context)
      responses.push(remove(topic, one, context))
    } catch (thrown) {
      responses.push(refused(one, thrown))
    }
  }
  return { throttleTimeMs: 0, responses: await Promise.all(responses) }
}

async function remove(topic: Topic, named: Named, { broker }: RequestContext): Promise<Result> {
  try {
    await broker.topics.delete(topic)
    return { name: topic.name, topicId: topic.id, errorCode: 0, errorMessage: null }
  } catch (thrown) {
    return refused(named, thrown)
  }
}

function refused(named: Named, thrown: unknown): Result {
  const { error, message } = refusalOf(thrown)
  return { ...named, errorCode: error.code, errorMessage: message }
}

async function find(
  { name, topicId }: Named,
  { broker: { topics, configs } }: RequestContext,
): Promise<Topic> {
  if (!configs.boolean('delete.topic.enable')) {
    throw new Refusal(errors.TOPIC_DELETION_DISABLED, 'Topic deletion is disabled.')
  }
  if (name !== null && topicId !== ZERO_UUID) {
    throw new Refusal(errors.INVALID_REQUEST, 'You may not specify both topic name and topic id.')
  }
  if (name !== null) {
    await topics.settled(name)
    const topic = topics.get(name)
    if (topic !== undefined) return topic
    throw new Refusal(errors.UNKNOWN_TOPIC_OR_PARTITION, 'This server does not host this topic-partition.')
  }
  if (topicId === ZERO_UUID) {
    throw new Refusal(errors.INVALID_REQUEST, 'Neither topic name nor id were specified.')
  }
  const named = topics.getById(topicId)
  // The same request may have named it otherwise before.
  if (named !== undefined) await topics.settled(named.name)
  const topic = topics.getById(topicId)
  if (topic !== undefined) return topic
  throw new Refusal(errors.UNKNOWN_TOPIC_ID, 'This server does not host this topic ID.')
}

function keyOf({ name, topicId }: Named): string {
  return name === null ? `id ${topicId}` : `name ${name}`
}
