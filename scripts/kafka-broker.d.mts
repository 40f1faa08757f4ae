export const KAFKA: string
export const KAFKA_POM: string
export const CLUSTER_ID: string
/** What Kafka's start script tells Java. */
export const START_SCRIPT_FLAGS: readonly string[]
export const kafkaJars: string
export function kafkaIsInstalled(): boolean
/** A port of this machine that nobody had a moment ago. */
export function freePort(): Promise<number>
/** Whether a broker on a port of this machine answers now. */
export function answers(port: number): Promise<boolean>

export interface RunningKafka {
  readonly port: number
  /** Where it speaks TLS, if it was given a certificate. */
  readonly tlsPort: number | undefined
  readonly pid: number
  /** From the start of the process to the first answer; formatting came before. */
  readonly readyMilliseconds: number
  /** Kills it: what it keeps is not wanted. */
  stop(): Promise<void>
}

export function startKafka(options: {
  directory: string
  properties?: Readonly<Record<string, string | number>>
  heap?: string
  pem?: string
  moreListeners?: Readonly<Record<string, { readonly port: number; readonly advertised: number }>>
}): Promise<RunningKafka>

export interface RunningKafkaCluster {
  readonly ports: readonly number[]
  /** Their addresses. */
  readonly brokers: readonly string[]
  pidOf(nodeId: number): number
  /** Kills a broker. */
  kill(nodeId: number): Promise<void>
  /** Starts it again on its port, over what it has. */
  restart(nodeId: number): Promise<void>
  /** Kills all: what they keep is not wanted. */
  stop(): Promise<void>
}

export function startKafkaCluster(options: {
  directory: string
  racks: readonly string[]
  properties?: Readonly<Record<string, string | number>>
  heap?: string
  /** Of Java; by default those with which a broker is there soon, not fast. */
  flags?: readonly string[]
}): Promise<RunningKafkaCluster>
