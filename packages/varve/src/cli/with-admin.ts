import { Admin } from '@varve/client'
import { brokerFailure } from './broker-failure.js'
import { clientOptions, type BrokerFlags } from './client-options.js'

export interface AdminCommandOptions extends BrokerFlags {
  json?: boolean
}

/** Runs a command's questions, and turns what cannot be answered into what the user can do about it. */
export async function withAdmin<T>(
  flags: AdminCommandOptions,
  use: (admin: Admin) => Promise<T>,
  topic?: string,
): Promise<T> {
  const admin = new Admin(clientOptions(flags, 'varve-admin'))
  try {
    return await use(admin)
  } catch (error) {
    throw brokerFailure(error, flags.broker, topic)
  } finally {
    await admin.close()
  }
}

/** Kafka's name of an error, where it is one that a broker answered with. */
export function kafkaNameOf(error: unknown): string | undefined {
  return (error as { kafkaName?: string } | null)?.kafkaName
}
