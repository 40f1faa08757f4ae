/**
 * An error that we call final and Kafka retriable makes a client give up in the middle of an election; the other way round it
 * repeats for ever what cannot succeed.
 */
import { errors } from '@varve/protocol'
import { expect, test } from 'vitest'
import { classesMissing, withKafkaClasses } from '../support/kafka-messages.js'

test(
  "the errors are Kafka's, and so is which of them may be retried",
  { timeout: 120_000 },
  async ({ skip }) => {
    if (classesMissing !== null) skip(classesMissing)
    const ours = Object.values(errors).map(({ code, name, retriable }) => `${code} ${name} ${retriable}`)
    const theirs = await withKafkaClasses('test/conformance/clients/KafkaErrors.java')
    expect(ours.sort()).toEqual(theirs.sort())
  },
)
