/**
 * InitProducerId (22), versions 0 to 5.
 *
 * An idempotent producer gets an id that nobody else ever gets, with epoch 0; whatever id and epoch it says that it had
 * are of no account, as in Kafka. There are no transactions: with a transactional id the answer is UNSUPPORTED_VERSION,
 * which no client retries, like that of FindCoordinator, which they ask first. An id and an epoch of which only one is
 * given are INVALID_REQUEST. While the metadata log cannot be written, or the store of a cluster has not answered in time, the answer is
 * COORDINATOR_LOAD_IN_PROGRESS, which clients retry, as in a Kafka whose controller does not answer.
 */
import { errors, type InitProducerIdRequest, type InitProducerIdResponseInput } from '@varve/protocol'
import { errorFields } from '../broker-log.js'
import type { KafkaError } from '../kafka-error.js'
import type { RequestContext } from '../request-context.js'
import { storageFailureText } from '../storage-failure.js'

const none = -1

export async function handleInitProducerId(
  { transactionalId, producerId, producerEpoch }: InitProducerIdRequest,
  { broker }: RequestContext,
): Promise<InitProducerIdResponseInput> {
  if ((producerId === none) !== (producerEpoch === none)) return refused(errors.INVALID_REQUEST)
  // Kafka's own answer to a transactional id of no letters.
  if (transactionalId === '') return refused(errors.INVALID_REQUEST)
  if (transactionalId !== null) return refused(errors.UNSUPPORTED_VERSION)
  try {
    return { throttleTimeMs: 0, errorCode: 0, producerId: await broker.producerIds.next(), producerEpoch: 0 }
  } catch (error) {
    const text = storageFailureText(error)
    broker.limitedLog.write('error', text, `no producer id could be set apart: ${text}`, errorFields(error))
    return refused(errors.COORDINATOR_LOAD_IN_PROGRESS)
  }
}

function refused({ code }: KafkaError): InitProducerIdResponseInput {
  return { throttleTimeMs: 0, errorCode: code, producerId: none, producerEpoch: none }
}
