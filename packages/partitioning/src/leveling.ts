/** Tells to whom one thing of `from` could go as things are, and how to let it. */
export type Moves<Bearer> = (from: Bearer, each: (to: Bearer, move: () => void) => void) => void

/**
 * Moves things until the spread is as even as the moves allow. One move alone may not do it, so a whole chain is looked for, from
 * one who has two more over others to whom it has; while there is none, no spread is better (as in a flow of minimum cost). Each
 * chain lowers the sum of the squares, so there is an end. It goes from those who have most to those who have least, so that
 * nothing moves twice on its way.
 *
 * @param load how many each of the bearers has; kept up
 */
export function level<Bearer extends object>(load: Map<Bearer, number>, moves: Moves<Bearer>): void {
  const heaviestFirst = (): Bearer[] => [...load.keys()].sort((a, b) => load.get(b)! - load.get(a)!)
  while (heaviestFirst().some((from) => moveAlongChain(from, load, moves)));
}

function moveAlongChain<Bearer extends object>(
  start: Bearer,
  load: Map<Bearer, number>,
  moves: Moves<Bearer>,
): boolean {
  // The shortest chains come first, and only in those no move stands in the way of another one.
  const reached = new Map<Bearer, { from: Bearer; move: () => void }>()
  for (let layer = [start]; layer.length > 0;) {
    const next: Bearer[] = []
    for (const from of layer) {
      moves(from, (to, move) => {
        if (to === start || reached.has(to)) return
        reached.set(to, { from, move })
        next.push(to)
      })
    }
    const end = next.reduce((least, one) => (load.get(one)! < load.get(least)! ? one : least), start)
    if (load.get(start)! - load.get(end)! > 1) {
      for (let at = end; at !== start;) {
        const { from, move } = reached.get(at)!
        move()
        at = from
      }
      load.set(start, load.get(start)! - 1)
      load.set(end, load.get(end)! + 1)
      return true
    }
    layer = next
  }
  return false
}
