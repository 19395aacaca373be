import type { Database, DatabaseTransaction, ExclusiveTransaction } from '../../packages/core/src/rotation/database.ts'

/** Called before and after each call of a database, and before and after each commit, with a name such as `swap:before`. */
export type OnStep = (step: string) => void | Promise<void>

/** A database that says at every boundary where it is: what happens between two of these cannot be seen from outside. */
export function withSteps(database: Database, onStep: OnStep): Database {
  const around = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    await onStep(`${name}:before`)
    const result = await work()
    await onStep(`${name}:after`)
    return result
  }
  const inner = (tx: DatabaseTransaction): DatabaseTransaction => ({
    swap: (walk, changes) => around('swap', () => tx.swap(walk, changes)),
    advance: (lease, progress, setAside) => around('advance', () => tx.advance(lease, progress, setAside)),
  })
  const innerExclusive = (tx: ExclusiveTransaction): ExclusiveTransaction => ({
    ...inner(tx),
    scan: (walk, after, limit) => around('scan', () => tx.scan(walk, after, limit)),
    hold: (walks, rotationId) => around('hold', () => tx.hold(walks, rotationId)),
    liftHold: (rotationId) => around('liftHold', () => tx.liftHold(rotationId)),
    attempt: (work) => tx.attempt(work),
    otherSessions: () => around('otherSessions', () => tx.otherSessions()),
  })
  // "before" a commit is the end of its work; "after" comes once the database has answered.
  const committing = async <Tx, T>(name: string, run: (work: (tx: Tx) => Promise<T>) => Promise<T>, work: (tx: Tx) => Promise<T>) => {
    const result = await run(async (tx) => {
      const result = await work(tx)
      await onStep(`${name}:before`)
      return result
    })
    await onStep(`${name}:after`)
    return result
  }
  const { runs } = database
  return {
    ...database,
    scan: (walk, after, limit) => around('scan', () => database.scan(walk, after, limit)),
    transaction: (work) =>
      committing(
        'commit',
        (inTx) => database.transaction(inTx),
        (tx: DatabaseTransaction) => work(inner(tx)),
      ),
    exclusive: (walks, work) =>
      committing(
        'commit',
        (inTx) => database.exclusive(walks, inTx),
        (tx: ExclusiveTransaction) => work(innerExclusive(tx)),
      ),
    runs: {
      ...runs,
      create: (run, event) => around('create', () => runs.create(run, event)),
      acquire: (id, ttlMs) => around('acquire', () => runs.acquire(id, ttlMs)),
      surrender: (lease) => around('surrender', () => runs.surrender(lease)),
      change: (lease, to, note, event) => around(`change-to-${to}`, () => runs.change(lease, to, note, event)),
      replaceSetAside: (lease, values) => around('replaceSetAside', () => runs.replaceSetAside(lease, values)),
    },
  }
}
