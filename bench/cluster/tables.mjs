/** What tables of a cluster have that those of one broker have not. */

/** The same cells with a figure of varve's etcd, which Kafka has none of. */
export const storeCells = (measured, figure) =>
  measured
    .filter(({ subjects: { varve } }) => varve !== undefined)
    .map(({ id, subjects: { varve } }) => ({
      id,
      subjects: { varve: varve.median === undefined ? varve : { median: figure(varve.median) } },
    }))
