/** Whom we measure, in the order of the tables. Each is loaded in the process that measures it alone. */
export const titles = {
  varve: 'varve',
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

export const load = (subject) => import(`./${subject}.mjs`)
