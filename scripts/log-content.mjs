/**
 * What readers see of a log, as plain data: what a release's directories held when it wrote them, and what later versions find.
 */
export async function contentOf(log) {
  const { startOffset, endOffset, lastStableOffset, leaderEpoch } = log
  const records = []
  for await (const { offset, timestamp, key, value, headers } of log.read()) {
    records.push([
      offset,
      timestamp,
      text(key),
      text(value),
      headers.map(([name, bytes]) => [name, text(bytes)]),
    ])
  }
  const committed = []
  for await (const { offset } of log.read({ isolation: 'readCommitted' })) committed.push(offset)
  const aborted = await log.abortedTransactions(startOffset, endOffset)
  return { startOffset, endOffset, lastStableOffset, leaderEpoch, records, committed, aborted }
}

function text(bytes) {
  return bytes?.toString() ?? null
}
