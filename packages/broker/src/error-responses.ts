/**
 * Responses that refuse what a request asks for, built from the declarations of both messages: the parts of a response that
 * carry errors are those of the request, under the same names or in the same order, and everything else is empty. That is so
 * in all of Kafka's APIs, so that none of them needs code of its own here.
 */
import {
  type AnyApi,
  type Field,
  type Fields,
  includes,
  type KafkaError,
  versionRange,
  ZERO_UUID,
} from '@varve/protocol'

export type Message = Readonly<Record<string, unknown>>

/** Whether a fault is for a topic, or for one of its partitions where the API names them. */
export type IsStruck = (topic: string, partition: number | null) => boolean

/** What the messages need to know of the broker: topics may be named by their ids. */
export type TopicNames = (topicId: string) => string | undefined

const requestTopics = new Set(['topics', 'topicData', 'topicPartitions', 'topicNames', 'resources'])
const requestPartitions = new Set(['partitions', 'partitionData', 'partitionIndexes'])
const responseTopics = new Set(['topics', 'responses', 'results', 'replicaElectionResults'])
const responsePartitions = new Set(['partitions', 'partitionResponses', 'partitionResult'])
/** What tells an element of an array from the others. */
const identities = new Set([
  'name',
  'topic',
  'topicName',
  'topicId',
  'groupId',
  'key',
  'memberId',
  'groupInstanceId',
  'resourceType',
  'resourceName',
  'partition',
  'partitionIndex',
  'partitionId',
  'index',
])
/** Kafka's number for topics among the resources that have configurations. */
const topicResource = 2

/** Whether requests of an API name topics, and partitions of them. */
export function placesOf({ request }: AnyApi): { topics: boolean; partitions: boolean } {
  const found = { topics: false, partitions: false }
  const look = (fields: Fields): void => {
    for (const [name, { fields: inner }] of Object.entries(fields)) {
      if (requestTopics.has(name)) found.topics = true
      if (requestPartitions.has(name)) found.partitions = true
      if (inner !== undefined) look(inner)
    }
  }
  look(request.fields)
  return found
}

/** Takes a request apart: what is struck, and the rest; null for nothing. */
export function divide(
  { request: { fields } }: AnyApi,
  request: Message,
  isStruck: IsStruck,
  nameOf: TopicNames,
): [struck: Message | null, rest: Message | null] {
  return divided(fields, request, isStruck, nameOf)
}

function divided(
  fields: Fields,
  message: Message,
  isStruck: IsStruck,
  nameOf: TopicNames,
): [Message | null, Message | null] {
  const parts: [struck: Record<string, unknown>, rest: Record<string, unknown>] = [
    { ...message },
    { ...message },
  ]
  const found = [false, false]
  for (const [name, { fields: inner }] of Object.entries(fields)) {
    const elements = message[name]
    if (!Array.isArray(elements)) continue
    const split = requestTopics.has(name)
      ? elements.map((element) => dividedTopic(element, isStruck, nameOf))
      : inner !== undefined && Object.keys(inner).some((key) => requestTopics.has(key))
        ? elements.map((element: Message) => divided(inner, element, isStruck, nameOf))
        : null
    if (split === null) continue
    for (const side of [0, 1] as const) {
      const these = split.map((pair) => pair[side]).filter((part) => part !== null)
      parts[side][name] = these
      if (these.length > 0) found[side] = true
    }
  }
  return [found[0] ? parts[0] : null, found[1] ? parts[1] : null]
}

function dividedTopic(element: unknown, isStruck: IsStruck, nameOf: TopicNames): [unknown, unknown] {
  const topic = topicOf(element, nameOf)
  if (topic === null) return [null, element]
  const list =
    typeof element === 'object' ? Object.keys(element!).find((key) => requestPartitions.has(key)) : undefined
  const partitions = list === undefined ? null : (element as Message)[list]
  if (!Array.isArray(partitions)) return isStruck(topic, null) ? [element, null] : [null, element]
  const side = (struck: boolean): Message | null => {
    const these = partitions.filter((partition) => isStruck(topic, partitionOf(partition)) === struck)
    return these.length > 0 ? { ...(element as Message), [list!]: these } : null
  }
  return [side(true), side(false)]
}

function topicOf(element: unknown, nameOf: TopicNames): string | null {
  if (typeof element === 'string') return element
  const { topicId, name, topic, topicName, resourceType, resourceName } = element as Message
  if (resourceName !== undefined) return resourceType === topicResource ? (resourceName as string) : null
  const given = name ?? topic ?? topicName
  if (typeof given === 'string' && given !== '') return given
  return typeof topicId === 'string' ? (nameOf(topicId) ?? null) : null
}

function partitionOf(partition: unknown): number {
  if (typeof partition === 'number') return partition
  const { partitionIndex, partitionId, partition: number, index } = partition as Message
  return (partitionIndex ?? partitionId ?? number ?? index) as number
}

/** The response to a request of which nothing is done, without the error. */
export function emptyResponse(api: AnyApi, request: Message, version: number): Message {
  return emptied(api.response.fields, api.request.fields, request, version)
}

function emptied(fields: Fields, requestFields: Fields, request: Message, version: number): Message {
  const message: Record<string, unknown> = {}
  const asked = Object.entries(requestFields).find(
    ([name, { type }]) =>
      type === 'array' && hasVersion(requestFields[name]!, version) && Array.isArray(request[name]),
  )
  for (const [name, field] of Object.entries(fields)) {
    if (!hasVersion(field, version) || field.options.tag !== undefined) continue
    if (field.type === 'array' && asked !== undefined && answers(field, version)) {
      const [list, { fields: inner }] = asked
      message[name] = (request[list] as unknown[]).map((element) => ({
        ...(inner === undefined
          ? emptied(field.fields!, {}, {}, version)
          : emptied(field.fields!, inner, element as Message, version)),
        ...identityOf(field.fields!, element, version),
      }))
    } else if (name === 'memberId' && typeof request[name] === 'string') {
      message[name] = request[name]
    } else {
      message[name] = emptyValue(name, field, version)
    }
  }
  return message
}

/** Whether an array has an element with an error for each element of the request. */
function answers({ fields }: Field, version: number): boolean {
  if (fields === undefined || !carriesError(fields, version)) return false
  return Object.entries(fields).some(([name, field]) => identities.has(name) && hasVersion(field, version))
}

function carriesError(fields: Fields, version: number): boolean {
  return Object.entries(fields).some(
    ([name, field]) =>
      hasVersion(field, version) &&
      (name === 'errorCode' ||
        (field.type === 'array' && field.fields !== undefined && carriesError(field.fields, version))),
  )
}

/** What names an element of a response, as the request's element named it: names may differ, order and types do not. */
function identityOf(fields: Fields, element: unknown, version: number): Message {
  const own: Record<string, unknown> = {}
  const given: Message = typeof element === 'object' && element !== null ? (element as Message) : { element }
  for (const [name, field] of Object.entries(fields)) {
    if (!identities.has(name) || !hasVersion(field, version)) continue
    const same = given[name]
    const value =
      same !== undefined
        ? same
        : Object.entries(given).find(
            ([other, one]) =>
              (other === 'element' || identities.has(other)) &&
              !(other in fields) &&
              typeof one === (field.type === 'int32' ? 'number' : 'string'),
          )?.[1]
    if (value !== undefined) own[name] = value
  }
  return own
}

/** Numbers are −1 in Kafka's refusals: no offset, no epoch, no node. */
function emptyValue(name: string, field: Field, version: number): unknown {
  const { type, options } = field
  if (options.nullable !== undefined && includes(versionRange(options.nullable), version)) return null
  if (options.default !== undefined && options.default !== null) return options.default
  switch (type) {
    case 'array':
      return []
    case 'struct':
      return {}
    case 'string':
      return ''
    case 'uuid':
      return ZERO_UUID
    case 'bytes':
    case 'records':
      return Buffer.alloc(0)
    case 'bool':
      return false
    default:
      return name === 'throttleTimeMs' || name.toLowerCase().endsWith('errorcode') ? 0 : -1
  }
}

/** A response with an error wherever it has a place for one that is meant; null where it has none. */
export function withError(
  api: AnyApi,
  response: Message,
  version: number,
  error: KafkaError,
  isStruck: IsStruck | null,
  nameOf: TopicNames,
): Message | null {
  let placed = false
  const place = (fields: Fields, message: Message, applies: boolean, topic: string | null): Message => {
    const next: Record<string, unknown> = { ...message }
    for (const [name, field] of Object.entries(fields)) {
      if (!hasVersion(field, version)) continue
      if (name === 'errorCode' && applies) {
        next[name] = error.code
        placed = true
      } else if (name === 'errorMessage' && applies) {
        next[name] = error.message
      } else if (field.type === 'array' && field.fields !== undefined && Array.isArray(message[name])) {
        next[name] = (message[name] as Message[]).map((element) => {
          if (isStruck === null) return place(field.fields!, element, true, null)
          if (responseTopics.has(name)) {
            const named = topicOf(element, nameOf)
            return place(field.fields!, element, named !== null && isStruck(named, null), named)
          }
          const meant =
            topic !== null && responsePartitions.has(name) ? isStruck(topic, partitionOf(element)) : applies
          return place(field.fields!, element, meant, topic)
        })
      }
    }
    return next
  }
  const next = place(api.response.fields, response, isStruck === null, null)
  return placed ? next : null
}

/** One response of two to the parts of a request. */
export function joined(api: AnyApi, one: Message, other: Message, version: number): Message {
  return joinedIn(api.response.fields, one, other, version)
}

function joinedIn(fields: Fields, one: Message, other: Message, version: number): Message {
  const next: Record<string, unknown> = { ...one }
  for (const [name, field] of Object.entries(fields)) {
    const [mine, theirs] = [one[name], other[name]]
    if (!Array.isArray(mine) || !Array.isArray(theirs) || !answers(field, version)) continue
    const elements: Message[] = [...mine]
    for (const element of theirs as Message[]) {
      const at = elements.findIndex((candidate) => isSame(field.fields!, candidate, element, version))
      if (at < 0) elements.push(element)
      else elements[at] = joinedIn(field.fields!, elements[at]!, element, version)
    }
    next[name] = elements
  }
  return next
}

function isSame(fields: Fields, one: Message, other: Message, version: number): boolean {
  return Object.entries(fields).every(
    ([name, field]) => !identities.has(name) || !hasVersion(field, version) || one[name] === other[name],
  )
}

function hasVersion({ versions }: Field, version: number): boolean {
  return includes(versionRange(versions), version)
}
