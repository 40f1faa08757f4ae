const NEWLINE = 0x0a

/**
 * Cuts a stream of bytes into lines, without their newlines. Bytes stay bytes: nothing is decoded, a carriage return
 * belongs to its line, and the last line counts whether or not a newline ends it.
 */
export async function* linesOf(chunks: AsyncIterable<Buffer> | Iterable<Buffer>): AsyncGenerator<Buffer[]> {
  let partial: Buffer[] = []
  for await (const chunk of chunks) {
    const lines: Buffer[] = []
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      const rest = chunk.subarray(start, end)
      // Joined once, when the line is complete: a line of many chunks would otherwise be copied for each.
      lines.push(partial.length === 0 ? rest : Buffer.concat([...partial, rest]))
      partial = []
      start = end + 1
    }
    if (start < chunk.length) partial.push(chunk.subarray(start))
    if (lines.length > 0) yield lines
  }
  if (partial.length > 0) yield [Buffer.concat(partial)]
}

/** Splits a line at the first separator. Without one the whole line is the value and there is no key. */
export function keyAndValue(
  line: Buffer,
  separator: Buffer | undefined,
): { key: Buffer | null; value: Buffer } {
  const at = separator === undefined ? -1 : line.indexOf(separator)
  if (separator === undefined || at === -1) return { key: null, value: line }
  return { key: line.subarray(0, at), value: line.subarray(at + separator.length) }
}
