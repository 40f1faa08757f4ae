/** Whom we measure, in the order of the tables. */
export const titles = {
  varve: 'varve',
  kafka: 'Apache Kafka',
  level: 'LevelDB',
  lmdb: 'LMDB',
  sqlite: 'SQLite',
  'fs-async': 'fs, promises',
  'fs-sync': 'fs, synchronous',
  ceiling: 'ceiling',
}

/** Stores that a Node developer would take instead. */
export const stores = ['level', 'lmdb', 'sqlite']
export const byHand = ['fs-async', 'fs-sync']

/** Loads one of those that run in a process of ours. */
export const load = (subject) => import(`./${subject}.mjs`)
