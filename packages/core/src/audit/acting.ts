import { AsyncLocalStorage } from 'node:async_hooks'

const acting = new AsyncLocalStorage<string>()

/**
 * Runs `work`; every event that it puts on record, also of what it goes on with later, is by this actor and not by the one of `open`. For a
 * server that acts for its users.
 *
 * @param actor - `user:ada`, `token:ci`: a name, never a credential
 * @example
 * import { open } from '@keyturn/core'
 *
 * const keyturn = await open(config, { pool })
 * await actingAs('user:ada', () => keyturn.audit.record({ actor: 'library', action: 'report.read', subject: 'keyring/app', data: {} }))
 * await keyturn.close()
 */
export function actingAs<T>(actor: string, work: () => T): T {
  return acting.run(actor, work)
}

/** Who acts now, or `otherwise`. */
export function actingOr(otherwise: string): string {
  return acting.getStore() ?? otherwise
}
