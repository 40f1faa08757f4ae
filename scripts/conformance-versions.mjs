/** What test/conformance is run with. Versions of Go's modules stand in the `go.mod` of their programs. */
export const AIOKAFKA = '0.14.0'
export const CARGO_FUZZ = '0.13.2'
export const CONFLUENT_KAFKA = '2.16.1'
export const GO_CLIENTS = ['franz-go', 'kafka-go', 'sarama']
export const JEST = '30.5.2'
export const KAFKA_MESSAGES = '4.4.0'
export const KAFKA_PYTHON = '2.3.3'
export const KAFKA_TOOLS = '4.4.0'
export const NODES = { 20: '20.20.2', 22: '22.23.3', 24: '24.21.0' }
export const PLATFORMATIC_KAFKA = '2.12.1'
