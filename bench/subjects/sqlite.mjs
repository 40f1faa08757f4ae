import Database from 'better-sqlite3'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

export async function open(dir, { durable }) {
  mkdirSync(dir, { recursive: true })
  const db = new Database(join(dir, 'records.db'))
  db.pragma('journal_mode = WAL')
  // NORMAL fsyncs at checkpoints alone, FULL at every commit.
  db.pragma(`synchronous = ${durable ? 'FULL' : 'NORMAL'}`)
  db.exec('CREATE TABLE IF NOT EXISTS records (number INTEGER PRIMARY KEY, value BLOB NOT NULL)')
  const insert = db.prepare('INSERT INTO records (value) VALUES (?)')
  const select = db.prepare('SELECT value FROM records WHERE number = ?').pluck()
  const insertAll = db.transaction((values) => {
    for (const value of values) insert.run(value)
  })
  return {
    appendGroup: (values) => (values.length === 1 ? insert.run(values[0]) : insertAll(values)),
    get: (index) => select.get(index + 1),
    replay(visit) {
      for (const value of db.prepare('SELECT value FROM records ORDER BY number').pluck().iterate())
        visit(value)
    },
    count: () => db.prepare('SELECT count(*) FROM records').pluck().get(),
    close: () => db.close(),
  }
}
