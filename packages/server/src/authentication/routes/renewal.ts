import type { FastifyReply } from 'fastify'
import type { Caller } from '../../access.ts'
import { markBrowser } from '../browsers.ts'
import { setCookie } from '../cookies.ts'
import type { Ground } from '../ground.ts'
import { beginSession } from '../sessions.ts'

/** A new session in place of the one that a change of the caller's own role or password has ended. */
export async function renew(ground: Ground, reply: FastifyReply, { id }: Pick<Caller, 'id'>): Promise<void> {
  const { session, mark } = await ground.state.transaction(async (sql) => ({
    session: await beginSession(sql, ground, id),
    mark: await markBrowser(sql, ground, id, null),
  }))
  setCookie(reply, 'session', session, ground)
  setCookie(reply, 'browser', mark, ground)
}
