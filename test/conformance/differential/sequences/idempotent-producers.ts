import { deleteRecords, describeProducers, initProducerId } from '@varve/protocol'
import { createTopic, fetchFrom, newProducer, write } from '../requests.js'
import { call, producerId, subject } from '../sequence.js'

const id = producerId()
const int32Max = 0x7fffffff

export default subject('idempotent-producers', (sequence) => {
  const from = (
    topic: string,
    sequenceNumber: number,
    values: readonly string[] = ['v'],
    epoch = 0,
    version = 9,
  ) => write(topic, values, { producer: { id, epoch, sequence: sequenceNumber } }, version)
  const producers = (topic: string, partitionIndexes = [0]) =>
    call(describeProducers, 0, { topics: [{ name: topic, partitionIndexes }] })

  sequence('in-order', 'batches one after the other', ({ topic }) => [
    createTopic(topic),
    newProducer(),
    from(topic, 0, ['a', 'b']),
    from(topic, 2),
    from(topic, 3),
    producers(topic),
    fetchFrom(topic),
  ])
  sequence('first-not-0', 'a new producer that does not begin with 0', ({ topic }) => [
    createTopic(topic),
    newProducer(),
    from(topic, 5),
    from(topic, 6),
    from(topic, 0),
    producers(topic),
  ])
  sequence('gap', 'a batch that is missing', ({ topic }) => [
    createTopic(topic),
    newProducer(),
    from(topic, 0),
    from(topic, 2),
    from(topic, 1),
    from(topic, 2),
  ])
  sequence('duplicate', 'the last batch again, in old and new versions', ({ topic }) => [
    createTopic(topic),
    newProducer(),
    from(topic, 0, ['a', 'b']),
    from(topic, 0, ['a', 'b']),
    from(topic, 0, ['a', 'b'], 0, 3),
    from(topic, 0, ['a', 'b'], 0, 7),
    fetchFrom(topic),
  ])
  sequence('duplicate-of-other-length', 'the first sequence of a batch with another length', ({ topic }) => [
    createTopic(topic),
    newProducer(),
    from(topic, 0, ['a', 'b', 'c']),
    from(topic, 0, ['a']),
    from(topic, 1, ['b']),
    from(topic, 0, ['a', 'b', 'c', 'd']),
    from(topic, 2, ['c', 'd']),
  ])
  sequence('duplicate-of-five', 'the five latest batches are known, the sixth is not', ({ topic }) => [
    createTopic(topic),
    newProducer(),
    ...[0, 1, 2, 3, 4, 5].map((n) => from(topic, n)),
    ...[5, 4, 3, 2, 1, 0].map((n) => from(topic, n)),
    from(topic, 6),
  ])
  sequence('epoch-bumped', 'a later epoch begins with 0 and fences the earlier one', ({ topic }) => [
    createTopic(topic),
    newProducer(),
    from(topic, 0),
    from(topic, 0, ['v'], 1),
    from(topic, 1, ['v'], 0),
    from(topic, 0, ['v'], 0),
    from(topic, 1, ['v'], 1),
    producers(topic),
  ])
  sequence('epoch-bumped-not-0', 'a later epoch that does not begin with 0', ({ topic }) => [
    createTopic(topic),
    newProducer(),
    from(topic, 0),
    from(topic, 1, ['v'], 1),
    from(topic, 7, ['v'], 2),
    from(topic, 0, ['v'], 5),
    from(topic, 1, ['v'], 3),
  ])
  for (const version of [3, 8, 11, 12]) {
    sequence(`old-epoch-v${version}`, `an old epoch in version ${version}`, ({ topic }) => [
      createTopic(topic),
      newProducer(),
      from(topic, 0, ['v'], 3),
      from(topic, 1, ['v'], 2, version),
      from(topic, 5, ['v'], 3, version),
    ])
  }
  sequence('sequence-wraps', 'sequences that wrap around at 2^31 − 1', ({ topic }) => [
    createTopic(topic),
    newProducer(),
    from(topic, int32Max - 1, ['a', 'b']),
    from(topic, 0, ['c']),
    from(topic, 1, ['d']),
    producers(topic),
  ])
  sequence('sequence-wraps-within', 'one batch across the wrap', ({ topic }) => [
    createTopic(topic),
    newProducer(),
    from(topic, int32Max, ['a', 'b', 'c']),
    from(topic, 2, ['d']),
    from(topic, int32Max, ['a', 'b', 'c']),
    producers(topic),
  ])
  sequence('made-up-id', 'an id that no broker gave out', ({ topic }) => [
    createTopic(topic),
    write(topic, ['a'], { producer: { id: 900_001, epoch: 0, sequence: 0 } }),
    write(topic, ['b'], { producer: { id: 900_001, epoch: 0, sequence: 1 } }),
    write(topic, ['b'], { producer: { id: 900_001, epoch: 32_767, sequence: 0 } }),
    producers(topic),
  ])
  sequence('between-plain-batches', 'batches without a producer in between', ({ topic }) => [
    createTopic(topic),
    newProducer(),
    from(topic, 0),
    write(topic, ['plain']),
    from(topic, 1),
    from(topic, 0),
  ])
  sequence('deleted-records', 'a producer whose records are deleted', ({ topic }) => [
    createTopic(topic),
    newProducer(),
    from(topic, 0),
    from(topic, 1),
    call(deleteRecords, 2, {
      topics: [{ name: topic, partitions: [{ partitionIndex: 0, offset: -1 }] }],
      timeoutMs: 5000,
    }),
    from(topic, 1),
    from(topic, 2),
    producers(topic),
  ])
  sequence('two-producers', 'two producers in one log', ({ topic }) => [
    createTopic(topic),
    newProducer(),
    newProducer(),
    write(topic, ['a'], { producer: { id: producerId(1), epoch: 0, sequence: 0 } }),
    write(topic, ['b'], { producer: { id: producerId(2), epoch: 0, sequence: 0 } }),
    write(topic, ['a'], { producer: { id: producerId(1), epoch: 0, sequence: 0 } }),
    producers(topic),
  ])
  sequence('two-batches-of-one-producer', 'two batches in one request', ({ topic }) => [
    createTopic(topic),
    newProducer(),
    write(topic, ['a'], { producer: { id, epoch: 0, sequence: 0 }, times: 2 }),
    from(topic, 0),
  ])
  sequence('describe-unknown', 'producers of what does not exist', ({ topic }) => [
    createTopic(topic),
    producers(topic, [0, 1, -1]),
    producers(`${topic}-not`),
    producers(''),
    call(describeProducers, 0, { topics: [] }),
  ])
  for (const version of [0, 1, 2, 3, 4, 5]) {
    sequence(`init-v${version}`, `an id in version ${version}`, () => [
      newProducer(version),
      newProducer(version),
    ])
  }
  sequence('init-given-id', 'an id and an epoch that the client brings', () =>
    [
      [900_001, 0],
      [900_001, -1],
      [-1, 5],
      [-2, -2],
      [900_001, 32_767],
    ].map(([given, epoch]) =>
      call(initProducerId, 4, {
        transactionalId: null,
        transactionTimeoutMs: 60_000,
        producerId: given!,
        producerEpoch: epoch!,
      }),
    ),
  )
  sequence('init-timeout', 'transaction timeouts without a transaction', () =>
    [0, -1, int32Max].map((transactionTimeoutMs) =>
      call(initProducerId, 4, { transactionalId: null, transactionTimeoutMs }),
    ),
  )
  sequence('init-empty-transactional-id', 'an empty transactional id', () => [
    call(initProducerId, 4, { transactionalId: '', transactionTimeoutMs: 60_000 }),
  ])
  sequence('init-transactional', 'a transactional id', () => [
    call(initProducerId, 4, { transactionalId: 'differential', transactionTimeoutMs: 60_000 }),
  ])
})
