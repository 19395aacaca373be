import type { Role } from '../domain.ts'
import type { Token, User } from '../record.ts'
import { fromWire } from './from-wire.ts'
import { all, request } from './request.ts'
import type { Wire } from './wire.ts'

const user = (id: string) => `v1/users/${encodeURIComponent(id)}`

/** GET /v1/users */
export const getUsers = async () => (await all<Wire<User>>('v1/users')).map(fromWire.user)
/** POST /v1/users */
export const addUser = (body: { name: string; password: string; role: Role }) => request<unknown>('v1/users', { method: 'POST', body })
/** PATCH /v1/users/:id: ends the sessions of the user. */
export const changeUser = ({ id, ...body }: { id: string; role?: Role; password?: string }) =>
  request<unknown>(user(id), { method: 'PATCH', body })
/** DELETE /v1/users/:id */
export const removeUser = (id: string) => request<unknown>(user(id), { method: 'DELETE' })
/** GET /v1/tokens */
export const getTokens = async () => (await all<Wire<Token>>('v1/tokens')).map(fromWire.token)
/** POST /v1/tokens: the secret is in this answer and nowhere else. */
export const addToken = (body: { name: string; role: Role; expiresAt: string | null }) =>
  request<{ readonly name: string; readonly secret: string }>('v1/tokens', { method: 'POST', body })
/** DELETE /v1/tokens/:id */
export const removeToken = (id: string) => request<unknown>(`v1/tokens/${encodeURIComponent(id)}`, { method: 'DELETE' })
