import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The root of the work tree. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)))

/** What builds remember about their inputs. It goes away with node_modules, as what it describes does. */
export const cache = join(root, 'node_modules', '.cache', 'varve')
