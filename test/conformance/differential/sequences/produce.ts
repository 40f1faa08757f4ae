import { createTopics, deleteTopics, fetch, listOffsets, produce } from '@varve/protocol'
import { batch, type BatchSpec, call, noTopicId, type Step, subject, topicId, zeroId } from '../sequence.js'
import { createTopic, fetchFrom } from '../requests.js'

interface Producing {
  version?: number
  acks?: number
  index?: number
  timeoutMs?: number
  transactionalId?: string
  patienceMs?: number
}

const send = (topic: string, records: Buffer | null, options: Producing = {}): Step => {
  const { version = 9, acks = -1, index = 0, timeoutMs = 30_000, transactionalId, patienceMs } = options
  return call(
    produce,
    version,
    {
      acks,
      timeoutMs,
      ...(transactionalId !== undefined && { transactionalId }),
      topicData: [
        { ...(version >= 13 ? { topicId: topic } : { name: topic }), partitionData: [{ index, records }] },
      ],
    },
    { answer: acks === 0 ? 'never' : 'now', ...(patienceMs !== undefined && { patienceMs }) },
  )
}

/** Batches that are wrong in one thing. */
const wrong: Readonly<Record<string, [story: string, spec: BatchSpec]>> = {
  crc: ['the CRC is not that of the bytes', { patch: [[17, '00000001']], reseal: false }],
  'magic-1': ['magic 1: the format before record batches', { patch: [[16, '01']] }],
  'magic-0': ['magic 0', { patch: [[16, '00']] }],
  'magic-3': ['a magic that no version of Kafka knows', { patch: [[16, '03']] }],
  'length-short': ['a length that ends before the records do', { patch: [[8, '00000032']] }],
  'length-long': ['a length beyond the end', { patch: [[8, '00001000']] }],
  'length-negative': ['a negative length', { patch: [[8, 'ffffffff']] }],
  'count-high': ['more records declared than there are', { patch: [[57, '00000005']] }],
  'count-low': ['fewer records declared than there are', { patch: [[57, '00000001']] }],
  'count-zero': ['no records declared', { patch: [[57, '00000000']] }],
  'count-negative': ['a negative count', { patch: [[57, 'ffffffff']] }],
  'last-offset-delta': ['a last offset delta that is not count − 1', { patch: [[23, '00000007']] }],
  'last-offset-delta-negative': ['a negative last offset delta', { patch: [[23, 'fffffffe']] }],
  'base-offset': ['a base offset that is not 0', { patch: [[0, '0000000000000005']] }],
  'leader-epoch': ['a leader epoch, which is the broker’s to set', { patch: [[12, '00000007']] }],
  control: ['a control batch, which only brokers write', { patch: [[21, '0020']] }],
  'unused-attributes': ['attribute bits without a meaning', { patch: [[21, '0100']] }],
  'codec-unknown': ['a codec that Kafka has not assigned', { patch: [[21, '0005']] }],
  'log-append-time': ['a client that claims LogAppendTime', { patch: [[21, '0008']] }],
  'delete-horizon': ['a delete horizon, which only the cleaner sets', { patch: [[21, '0040']] }],
  'max-timestamp': ['a max timestamp that no record has', { patch: [[35, '00000000000fffff']] }],
  'not-compressed': ['lz4 by name, plain bytes within', { patch: [[21, '0003']] }],
  'transactional-without-id': ['a transactional batch without a transactional id', { patch: [[21, '0010']] }],
  'producer-epoch-negative': ['a producer without an epoch', { patch: [[43, '00000000000dbba1']] }],
  'sequence-negative': [
    'a producer with an epoch, without a sequence',
    { patch: [[43, '00000000000dbba10000ffffffff']] },
  ],
  cut: ['a batch cut short', { cut: -3 }],
  'header-only': ['a header without records', { cut: 61 }],
  'half-a-header': ['half of a header', { cut: 30 }],
  'eight-bytes': ['eight bytes', { cut: 8 }],
  twice: ['two batches for one partition', { times: 2 }],
  'record-offset-delta': ['a record whose offset delta is not its place', { patch: [[64, '06']] }],
  'record-length': ['a record that is longer than the batch', { patch: [[61, '7e']] }],
  'record-length-negative': ['a record of negative length', { patch: [[61, '01']] }],
  'timestamp-far-ahead': ['a timestamp of the year 2286', { timestamp: 9_999_999_999_000 }],
  'timestamp-none': ['no timestamp', { timestamp: -1 }],
  'timestamp-negative': [
    'a timestamp before 1970',
    {
      patch: [
        [27, 'ffffffffffffec78'],
        [35, 'ffffffffffffec78'],
      ],
    },
  ],
}

export default subject('produce', (sequence) => {
  for (const [name, [story, spec]] of Object.entries(wrong)) {
    sequence(name, story, ({ topic }) => [
      createTopic(topic),
      send(topic, batch(['one', 'two'], spec)),
      fetchFrom(topic),
    ])
  }
  for (const version of [3, 4, 5, 6, 7, 8, 10, 11, 12]) {
    sequence(`crc-v${version}`, `the wrong CRC in version ${version}`, ({ topic }) => [
      createTopic(topic),
      send(topic, batch(['one'], { patch: [[17, '00000001']], reseal: false }), { version }),
      send(topic, batch(['one', 'two']), { version }),
    ])
  }
  sequence('v13', 'by id', ({ topic }) => [
    createTopic(topic),
    send(topicId(topic), batch(['one']), { version: 13 }),
    send(noTopicId, batch(['one']), { version: 13 }),
    send(zeroId, batch(['one']), { version: 13 }),
  ])
  sequence(
    'unknown-topic',
    'a topic that does not exist, in every version that tells it differently',
    ({ topic }) => [3, 7, 8, 9, 12].map((version) => send(topic, batch(['one']), { version })),
  )
  sequence('unknown-partition', 'partitions that the topic does not have', ({ topic }) => [
    createTopic(topic),
    send(topic, batch(['one']), { index: 1 }),
    send(topic, batch(['one']), { index: -1 }),
    send(topic, batch(['one']), { index: 0x7fffffff }),
  ])
  sequence('invalid-topic-name', 'names that no topic can have', () => [
    send('', batch(['one'])),
    send('a/b', batch(['one'])),
    send('x'.repeat(250), batch(['one'])),
  ])
  sequence('null-records', 'no records at all', ({ topic }) => [
    createTopic(topic),
    send(topic, null, { patienceMs: 3000 }),
    fetchFrom(topic),
  ])
  sequence('empty-records', 'records of no bytes', ({ topic }) => [
    createTopic(topic),
    send(topic, Buffer.alloc(0)),
    fetchFrom(topic),
  ])
  sequence('nothing', 'no topics, and a topic without partitions', ({ topic }) => [
    createTopic(topic),
    call(produce, 9, { acks: -1, timeoutMs: 1000, topicData: [] }),
    call(produce, 9, { acks: -1, timeoutMs: 1000, topicData: [{ name: topic, partitionData: [] }] }),
  ])
  for (const acks of [2, -2, 32767]) {
    sequence(`acks-${acks}`, `acks of ${acks}`, ({ topic }) => [
      createTopic(topic),
      send(topic, batch(['one']), { acks }),
      fetchFrom(topic),
    ])
  }
  sequence('acks-0', 'no answer to what went well', ({ topic }) => [
    createTopic(topic),
    send(topic, batch(['one']), { acks: 0 }),
    send(topic, batch(['two']), { acks: 1 }),
    fetchFrom(topic),
  ])
  sequence(
    'acks-0-error',
    'the end of the connection where acks 0 leaves no other way to tell',
    ({ topic }) => [send(topic, batch(['one']), { acks: 0 }), fetchFrom(topic)],
  )
  sequence('acks-0-crc', 'a corrupt batch with acks 0', ({ topic }) => [
    createTopic(topic),
    send(topic, batch(['one'], { patch: [[17, '00000001']], reseal: false }), { acks: 0 }),
    fetchFrom(topic),
  ])
  sequence('timeout', 'timeouts of zero and less', ({ topic }) => [
    createTopic(topic),
    send(topic, batch(['one']), { timeoutMs: 0 }),
    send(topic, batch(['one']), { timeoutMs: -1 }),
  ])
  sequence('partitions-mixed', 'good and bad partitions in one request', ({ topic }) => [
    createTopic(topic, { partitions: 2 }),
    call(produce, 9, {
      acks: -1,
      timeoutMs: 1000,
      topicData: [
        {
          name: topic,
          partitionData: [
            { index: 0, records: batch(['one']) },
            { index: 1, records: batch(['one'], { patch: [[17, '00000001']], reseal: false }) },
            { index: 2, records: batch(['one']) },
          ],
        },
        { name: `${topic}-not`, partitionData: [{ index: 0, records: batch(['one']) }] },
      ],
    }),
  ])
  sequence('partition-twice', 'the same partition twice', ({ topic }) => [
    createTopic(topic),
    call(produce, 9, {
      acks: -1,
      timeoutMs: 1000,
      topicData: [
        {
          name: topic,
          partitionData: [
            { index: 0, records: batch(['one']) },
            { index: 0, records: batch(['two']) },
          ],
        },
      ],
    }),
    fetchFrom(topic),
  ])
  sequence('topic-deleted', 'a topic that has been deleted', ({ topic }) => [
    createTopic(topic),
    send(topic, batch(['one'])),
    send(topicId(topic), batch(['one']), { version: 13 }),
    call(deleteTopics, 5, { topicNames: [topic], timeoutMs: 10_000, topics: [] }),
    send(topic, batch(['two'])),
    send(topicId(topic), batch(['two']), { version: 13 }),
    createTopic(topic),
    send(topic, batch(['three'])),
  ])
  sequence('too-large', 'a batch above max.message.bytes', ({ topic }) => [
    createTopic(topic, { configs: { 'max.message.bytes': '200' } }),
    send(topic, batch(['x'.repeat(300)])),
    send(topic, batch(['x'.repeat(100)])),
  ])
  sequence('too-large-default', 'a batch above message.max.bytes', ({ topic }) => [
    createTopic(topic),
    send(topic, batch(['x'.repeat(1_048_588)])),
  ])
  sequence('larger-than-segment', 'a batch above segment.bytes', ({ topic }) => [
    createTopic(topic, { configs: { 'segment.bytes': '1048576', 'max.message.bytes': '2000000' } }),
    send(topic, batch(['x'.repeat(1_100_000)])),
  ])
  sequence('compacted-without-key', 'a record without a key for a compacted topic', ({ topic }) => [
    createTopic(topic, { configs: { 'cleanup.policy': 'compact' } }),
    send(topic, batch(['one'])),
    send(topic, batch(['one', 'two']), { version: 7 }),
    send(topic, batch(['one'], { key: 'k' })),
    fetchFrom(topic),
  ])
  sequence('topic-log-append-time', 'a topic whose times are the broker’s', ({ topic }) => [
    createTopic(topic, { configs: { 'message.timestamp.type': 'LogAppendTime' } }),
    send(topic, batch(['one', 'two'])),
    fetchFrom(topic),
    call(listOffsets, 7, {
      replicaId: -1,
      isolationLevel: 0,
      topics: [{ name: topic, partitions: [{ partitionIndex: 0, timestamp: -3 }] }],
    }),
  ])
  sequence('timestamps-bounded', 'times before and after what the topic takes', ({ topic }) => [
    createTopic(topic, { configs: { 'message.timestamp.before.max.ms': '1000' } }),
    send(topic, batch(['one', 'two'])),
    send(topic, batch(['one', 'two']), { version: 7 }),
  ])
  for (const compression of ['lz4', 'snappy', 'zstd', 'gzip'] as const) {
    sequence(
      `codec-${compression}`,
      `a batch in ${compression}, with every version that may carry it`,
      ({ topic }) => [
        createTopic(topic),
        ...[3, 6, 7, 12].map((version) => send(topic, batch(['one', 'two'], { compression }), { version })),
        call(fetch, 12, {
          maxWaitMs: 0,
          minBytes: 0,
          topics: [{ topic, partitions: [{ partition: 0, fetchOffset: 4, partitionMaxBytes: 1 }] }],
          forgottenTopicsData: [],
        }),
      ],
    )
  }
  sequence('internal-topic', 'writing to the offsets topic', () => [
    send('__consumer_offsets', batch(['one'], { key: 'k' })),
  ])
  sequence('transactional-id', 'a transactional id without a transaction', ({ topic }) => [
    createTopic(topic),
    send(topic, batch(['one']), { transactionalId: 'tx' }),
  ])
  sequence('auto-create-not', 'writing does not create a topic', ({ topic }) => [
    send(topic, batch(['one'])),
    send(topic, batch(['one'])),
    call(createTopics, 5, { topics: [], timeoutMs: 1000 }),
  ])
})
