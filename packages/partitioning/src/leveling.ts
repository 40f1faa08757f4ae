/** How much each of them has: of what is being shared out, and besides. */
export interface Load<Bearer> {
  readonly own: Map<Bearer, number>
  readonly others: ReadonlyMap<Bearer, number>
}

/** Tells each bearer to which one thing of `from` could go as things are, and how to let it. */
export type Moves<Bearer> = (from: Bearer, each: (to: Bearer, move: () => void) => void) => void

/**
 * Moves things until no better spread exists: with what is shared out as even as the moves allow, and then with the rest as
 * even. One move alone may not do it, so a whole chain is looked for, from one who has more over others to one who has less;
 * while there is none that helps, the spread is the best (as in a flow of minimum cost). Each chain lowers the sum of the squares,
 * so there is an end.
 */
export function leveled<Bearer extends object>(
  bearers: readonly Bearer[],
  load: Load<Bearer>,
  moves: Moves<Bearer>,
): void {
  while (bearers.some((from) => moveAlongChain(from, load, moves)));
}

function moveAlongChain<Bearer extends object>(
  start: Bearer,
  load: Load<Bearer>,
  moves: Moves<Bearer>,
): boolean {
  const { own } = load
  // The shortest chains come first, and only in those no move stands in the way of another one.
  const reached = new Map<Bearer, { from: Bearer; move: () => void }>()
  for (const queue = [start]; queue.length > 0;) {
    const from = queue.shift()!
    moves(from, (to, move) => {
      if (to === start || reached.has(to)) return
      reached.set(to, { from, move })
      queue.push(to)
    })
  }
  const end = [...reached.keys()].find((bearer) => isBetter(load, start, bearer))
  if (end === undefined) return false
  for (let at = end; at !== start;) {
    const { from, move } = reached.get(at)!
    move()
    at = from
  }
  own.set(start, own.get(start)! - 1)
  own.set(end, own.get(end)! + 1)
  return true
}

/** Whether it is more even with one thing less at `from` and one more at `to`. */
function isBetter<Bearer>({ own, others }: Load<Bearer>, from: Bearer, to: Bearer): boolean {
  const difference = own.get(from)! - own.get(to)!
  return difference > 1 || (difference === 1 && others.get(from)! > others.get(to)!)
}
