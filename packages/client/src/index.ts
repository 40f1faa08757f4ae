export {
  Admin,
  type AdminOptions,
  type CallOptions,
  type CreatedTopic,
  type FoundOffset,
  type NewTopic,
  type OffsetQuery,
  type OffsetSpec,
  type PartitionMetadata,
  type TopicMetadata,
} from './admin.js'
export { systemClock, type Clock } from './clock.js'
export { Connection, type ConnectionOptions, type RequestOptions } from './connection.js'
export {
  Consumer,
  type Assignment,
  type ConsumerBatch,
  type ConsumerOptions,
  type ConsumerRecord,
  type Isolation,
  type IterateOptions,
  type TopicPartition,
} from './consumer.js'
export { KafkaError } from './kafka-error.js'
export { Producer, type Delivery, type ProducerOptions, type ProducerRecord } from './producer.js'
