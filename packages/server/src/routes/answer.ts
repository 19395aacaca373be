import { fail, type KeyturnError } from '@keyturn/core'
import type { FastifyReply } from 'fastify'
import { wrongInput } from '../problem.ts'
import type { Server } from '../server.ts'

/** What JSON makes of it, with the type it had: what core gives is data. Hashes are given as hexadecimal before. */
export const asJson = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

/** Answers 202: the work goes on, and `location` says how it is. */
export function accepted<T>({ prefix }: Server, reply: FastifyReply, location: string, body: T): T {
  reply.code(202).header('location', `${prefix}${location}`)
  return body
}

/** A page of a list that is whole here, such as what the configuration names. */
export function pageOf<T>(all: readonly T[], keyOf: (item: T) => string, { limit, after }: { limit: number; after?: string | undefined }) {
  const from = after === undefined ? 0 : all.findIndex((item) => keyOf(item) === decoded(after)) + 1
  if (after !== undefined && from === 0) throw wrongInput('/after', 'it is no place in this list')
  const items = all.slice(from, from + limit)
  const last = items.at(-1)
  return { items, next: from + limit < all.length && last !== undefined ? Buffer.from(keyOf(last)).toString('base64url') : null }
}
const decoded = (after: string) => Buffer.from(after, 'base64url').toString('utf8')

/** Work of a kind runs for this keyring already. */
export const refuseRunning = (what: string, keyring: string): KeyturnError =>
  fail('ERR_ROTATION_RUNNING', keyring, `to ${what} it`, 'running', 'the server')
