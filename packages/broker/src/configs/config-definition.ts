import type { ConfigCheck } from './config-check.js'

/** Kafka's types of configurations, with the numbers that DescribeConfigs gives them. */
export const configTypeIds = {
  BOOLEAN: 1,
  STRING: 2,
  INT: 3,
  SHORT: 4,
  LONG: 5,
  DOUBLE: 6,
  LIST: 7,
  CLASS: 8,
  PASSWORD: 9,
} as const

export type ConfigType = keyof typeof configTypeIds

export type Importance = 'HIGH' | 'MEDIUM' | 'LOW'

/**
 * What becomes of a topic's configuration here: `served` acts; `accepted` is kept, and there is nothing for it to act on;
 * `refused` may have its default value only, because another one would have to act and does not; `hidden` acts and is
 * not listed.
 */
export type TopicConfigService = 'served' | 'accepted' | 'refused' | 'hidden'

/**
 * What becomes of a broker's configuration here: `dynamic` acts and can be altered while the broker runs; `static` acts
 * and is set when the broker starts; `fixed` is read-only, has Kafka's default and does not act. Those of a cluster are so
 * there, and fixed in a broker that is alone. Those that are altered act in a cluster while it runs, can be given a value only then, and
 * are not listed without one, as in Kafka.
 */
export type BrokerConfigService =
  | 'dynamic'
  | 'static'
  | 'dynamic in a cluster'
  | 'static in a cluster'
  | 'altered in a cluster'
  | 'fixed'

export type TopicConfigRow = readonly [
  name: string,
  type: ConfigType,
  defaultValue: string | null,
  check: ConfigCheck,
  importance: Importance,
  /** The broker's configuration that gives topics without a value of their own theirs. */
  brokerName: string | null,
  service: TopicConfigService,
  documentation: string,
]

export type BrokerConfigRow = readonly [
  name: string,
  type: ConfigType,
  defaultValue: string | null,
  check: ConfigCheck,
  importance: Importance,
  service: BrokerConfigService,
  documentation: string,
]

export type GroupConfigRow = readonly [
  name: string,
  type: ConfigType,
  defaultValue: string,
  /** The broker's configuration that gives groups without a value of their own theirs. */
  brokerName: string | null,
  documentation: string,
]

/** One configuration as the tables have it. */
export interface ConfigDefinition {
  readonly name: string
  readonly type: ConfigType
  /** Kafka's default; null for none. */
  readonly defaultValue: string | null
  readonly check: ConfigCheck
  readonly importance: Importance
  readonly documentation: string
}

export interface TopicConfigDefinition extends ConfigDefinition {
  readonly brokerName: string | null
  readonly service: TopicConfigService
}

export interface GroupConfigDefinition extends ConfigDefinition {
  readonly defaultValue: string
  readonly brokerName: string | null
}

export interface BrokerConfigDefinition extends ConfigDefinition {
  readonly service: BrokerConfigService
}
