import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError } from 'commander'
import { Failure } from './failure.js'
import { flagOf, keyOf, type Setting, serveSettings, variablesOf } from './serve-settings.js'

/** Configurations of Kafka by name, and the values they were given. */
export type KafkaConfigs = Record<string, string | number | boolean>

/** The setting that says what a configuration of Kafka says, if there is one. */
function settingOf(kafkaName: string): Setting | undefined {
  return serveSettings.find(({ kafka }) => kafka?.includes(kafkaName))
}

/** Takes the configurations of the command line, which count as flags do; those that are settings become these. */
function takeConfigs(command: Command): KafkaConfigs {
  const configs: KafkaConfigs = {}
  for (const [name, value] of Object.entries(command.opts<{ config?: KafkaConfigs }>().config ?? {})) {
    const setting = settingOf(name)
    if (setting === undefined) configs[name] = value
    else if (isGiven(command, setting.name))
      throw wrong(`give either ${flagOf(setting)} or ${name}, not both`)
    else fill(command, setting, listed(setting, value), `--config ${name}`, 'cli')
  }
  return configs
}

/** Kafka separates lists by commas. */
function listed(setting: Setting, value: unknown): unknown {
  return setting.list && typeof value === 'string' ? value.split(',').map((one) => one.trim()) : value
}

/**
 * Fills in what the command line left open: from the environment, and below that from the file that `--config-file` names.
 *
 * @returns all configurations of Kafka, whose names have dots, but for those that are settings
 * @throws Failure that names the variable, or the file and its key
 */
export async function applySources(command: Command, environment: NodeJS.ProcessEnv): Promise<KafkaConfigs> {
  const flagged = takeConfigs(command)
  for (const setting of serveSettings) {
    for (const variable of variablesOf(setting)) {
      const text = environment[variable]
      if (text === undefined || text === '' || isServiceLink(text)) continue
      fill(command, setting, listed(setting, text), variable, 'env')
    }
  }
  const path = command.opts<{ configFile?: string }>().configFile ?? environment['VARVE_CONFIG_FILE']
  const configs = path === undefined || path === '' ? {} : await applyFile(command, path)
  for (const { name, conflicts = [], needs } of serveSettings) {
    if (needs !== undefined && isGiven(command, name) && !needs.some((one) => isGiven(command, one)))
      throw wrong(`${name} is of use beside ${needs.join(' or ')} only; give that as well, or leave it out`)
    const other = conflicts.find((one) => isGiven(command, name) && isGiven(command, one))
    if (other !== undefined)
      throw wrong(`give either ${name} or ${other}, not both; one comes from the environment or a file`)
  }
  return { ...configs, ...flagged }
}

/** Kubernetes sets VARVE_PORT=tcp://… in every pod beside a service that is called varve. */
function isServiceLink(text: string): boolean {
  return /^(tcp|udp):\/\//.test(text)
}

async function applyFile(command: Command, path: string): Promise<KafkaConfigs> {
  const configs: KafkaConfigs = {}
  const keys = new Map<Setting, string>()
  for (const [key, value] of Object.entries(await read(path))) {
    const kafka = settingOf(key)
    const setting = kafka ?? serveSettings.find(({ name, alias }) => name === key || alias === key)
    if (setting !== undefined) {
      const other = keys.get(setting)
      if (other !== undefined) throw wrong(`${path}: give either ${other} or ${key}, not both`)
      keys.set(setting, key)
      fill(
        command,
        setting,
        kafka === undefined ? value : listed(setting, value),
        `${path}: ${key}`,
        'config',
      )
      continue
    }
    if (key.includes('.')) {
      if (!['string', 'number', 'boolean'].includes(typeof value))
        throw wrong(`${path}: ${key} must be a text, a number, true or false`)
      configs[key] = value as string | number | boolean
      continue
    }
    throw wrong(
      `${path}: there is no setting ${key}. varve serve --help lists them; those of Kafka have dots`,
    )
  }
  return configs
}

async function read(path: string): Promise<Record<string, unknown>> {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new Failure(`cannot read ${path}: ${(error as Error).message}. Check --config-file`, {
      cause: error,
    })
  }
  const { parse } = await import('yaml')
  let parsed: unknown
  try {
    parsed = parse(text)
  } catch (error) {
    throw wrong(`${path} is not YAML: ${(error as Error).message.split('\n')[0]}`)
  }
  if (parsed === null) return {}
  if (typeof parsed !== 'object' || Array.isArray(parsed))
    throw wrong(`${path} must hold settings, one a line, such as port: 9092`)
  return parsed as Record<string, unknown>
}

/** Sets a value unless a stronger source has. */
function fill(
  command: Command,
  setting: Setting,
  value: unknown,
  where: string,
  source: 'cli' | 'env' | 'config',
): void {
  if (isGiven(command, setting.name)) return
  command.setOptionValueWithSource(keyOf(setting), parsed(setting, value, where), source)
}

function isGiven(command: Command, name: string): boolean {
  const setting = serveSettings.find((one) => one.name === name)!
  return !['default', undefined].includes(command.getOptionValueSource(keyOf(setting)))
}

function parsed(setting: Setting, value: unknown, where: string): unknown {
  if (setting.list) {
    const all = Array.isArray(value) ? value : [value]
    return all.map((one) => parsed({ ...setting, list: undefined }, one, where))
  }
  if (!['string', 'number', 'boolean'].includes(typeof value))
    throw wrong(`${where} has no value that it could have`)
  try {
    return setting.parse === undefined ? String(value) : setting.parse(String(value))
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error
    throw wrong(`${where}: '${String(value)}' is invalid. ${error.message}`)
  }
}

/** Wrong usage, as an unknown flag is. */
function wrong(message: string): Failure {
  return new Failure(message, { exitCode: 2 })
}
