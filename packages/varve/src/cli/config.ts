import type { ConfigChange, ConfigEntry, ConfigResource } from '@varve/client'
import { Failure } from './failure.js'
import { printJson, table } from './table.js'
import type { Setting } from './values.js'
import { withAdmin, type AdminCommandOptions } from './with-admin.js'

export interface DescribeConfigOptions extends AdminCommandOptions {
  all?: boolean
}

export interface AlterConfigOptions extends AdminCommandOptions {
  set?: Setting[]
  delete?: string[]
  append?: Setting[]
  subtract?: Setting[]
  dryRun?: boolean
}

/** The kinds of things with settings, as they are typed. */
export const entities = ['topic', 'broker', 'broker-default', 'group', 'client-metrics'] as const
export type Entity = (typeof entities)[number]

function resourceOf(entity: Entity, name: string | undefined): ConfigResource {
  if (entity === 'broker-default') {
    if (name === undefined) return { type: 'broker', name: '' }
    throw new Failure('broker-default stands for all brokers and takes no name', { exitCode: 2 })
  }
  if (name === undefined) throw new Failure(`name the ${entity} whose settings it is about`, { exitCode: 2 })
  return { type: entity === 'client-metrics' ? 'clientMetrics' : entity, name }
}

// Kafka's words for where a value comes from, as its own tools print them.
const sourceText = (source: ConfigEntry['source']): string =>
  source.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)

const isOwn = ({ source }: ConfigEntry): boolean =>
  source === 'topic' ||
  source === 'group' ||
  source === 'clientMetrics' ||
  source === 'dynamicBroker' ||
  source === 'dynamicBrokerDefault'

export async function describeConfig(
  entity: Entity,
  name: string | undefined,
  options: DescribeConfigOptions,
): Promise<void> {
  const resource = resourceOf(entity, name)
  await withAdmin(
    options,
    async (admin) => {
      const [found] = await admin.describeConfigs([resource], { includeSynonyms: options.all })
      const entries = options.all ? found!.entries : found!.entries.filter(isOwn)
      if (options.json) return printJson(entries)
      if (entries.length === 0) {
        process.stderr.write('Nothing is set; --all shows the defaults.\n')
        return
      }
      process.stdout.write(
        table(
          [
            { head: 'NAME', cell: (entry) => entry.name },
            { head: 'VALUE', cell: ({ value, isSensitive }) => (isSensitive ? '(secret)' : value) },
            { head: 'FROM', cell: ({ source }) => sourceText(source) },
            { head: 'READ-ONLY', cell: ({ isReadOnly }) => (isReadOnly ? 'yes' : '') },
          ],
          entries,
        ),
      )
    },
    entity === 'topic' ? name : undefined,
  )
}

export async function alterConfig(
  entity: Entity,
  name: string | undefined,
  options: AlterConfigOptions,
): Promise<void> {
  const resource = resourceOf(entity, name)
  const changes: ConfigChange[] = [
    ...(options.set ?? []).map((setting) => ({ operation: 'set' as const, ...setting })),
    ...(options.append ?? []).map((setting) => ({ operation: 'append' as const, ...setting })),
    ...(options.subtract ?? []).map((setting) => ({ operation: 'subtract' as const, ...setting })),
    ...(options.delete ?? []).map((setting) => ({ operation: 'delete' as const, name: setting })),
  ]
  if (changes.length === 0)
    throw new Failure('there is nothing to change. Give --set, --delete, --append or --subtract', {
      exitCode: 2,
    })
  await withAdmin(
    options,
    async (admin) => {
      await admin.alterConfigs([{ ...resource, changes }], { validateOnly: options.dryRun })
      const what = `${entity}${name === undefined ? '' : ` ${name}`}`
      if (options.json) printJson({ changes, dryRun: options.dryRun ?? false })
      else process.stdout.write(options.dryRun ? `${what} can be changed like this\n` : `Changed ${what}\n`)
    },
    entity === 'topic' ? name : undefined,
  )
}
