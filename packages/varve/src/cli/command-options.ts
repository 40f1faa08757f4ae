import { Option, type Command } from 'commander'
import { brokers, integer } from './values.js'

/** What several commands have in common. */

export const examples = (...lines: string[]): string =>
  `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`

/** For those who know Kafka's own scripts. */
export const kafkaScript = (...names: string[]): string => `\n\nKafka's script for this: ${names.join(', ')}`

/** Adds what every command that talks to a broker takes; see BrokerFlags. */
export const withBroker = (command: Command): Command =>
  command
    .addOption(
      new Option('-b, --broker <host:port>', 'where to connect, several with commas')
        .argParser(brokers)
        .default(['localhost:9092'], 'localhost:9092'),
    )
    .option('--tls', 'speak TLS; so do --ca and --cert')
    .option('--ca <file>', "PEM file of who signs the broker's certificate, if not one that Node trusts")
    .option('--cert <file>', "PEM file of this client's certificate, where the broker asks for one")
    .option('--key <file>', 'PEM file of its key')

export const jsonOption = (): Option => new Option('--json', 'print JSON, for scripts')

export const noWaitOption = (): Option =>
  new Option('--no-wait', 'do not wait until the new replicas have all records')

export const waitTimeoutOption = (): Option =>
  new Option('--timeout <ms>', 'how long to wait for that; it goes on all the same').argParser(
    integer(1, 2_147_483_647),
  )
