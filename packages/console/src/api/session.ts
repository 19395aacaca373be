import type { Session } from '../domain.ts'
import { request } from './request.ts'

/** GET /v1/session: who is here. The only question that needs no answer to it. */
export const getSession = () => request<Session>('v1/session')
/** POST /v1/session: logs in. */
export const logIn = (body: { name: string; password: string }) => request<Session>('v1/session', { method: 'POST', body })
/** POST /v1/setup: makes the first administrator, with the token of the link that the server printed. */
export const setUp = (body: { token: string; name: string; password: string }) => request<Session>('v1/setup', { method: 'POST', body })
/** PATCH /v1/session: another password. All other sessions of the user end. */
export const changePassword = (body: { password: string; newPassword: string }) => request<Session>('v1/session', { method: 'PATCH', body })
/** DELETE /v1/session: ends this session, or every session of the user. */
export const logOut = ({ everywhere = false } = {}) =>
  request<null>('v1/session', { method: 'DELETE', query: everywhere ? { everywhere: true } : {} })
