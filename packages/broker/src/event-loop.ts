/** How many elements of one request are worked on before everybody else has a turn. */
export const elementsPerTurn = 1_000

/** Resolves in the next turn of the event loop, when whatever else was ready has run. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
