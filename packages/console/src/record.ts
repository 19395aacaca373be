import type { Role } from './domain.ts'

/** The signed result of a rotation. */
export interface Certificate {
  readonly signer: string
  readonly complete: boolean
  readonly issuedAt: Date | null
  readonly claim: { readonly [name: string]: unknown }
  /** Canonical text: the only writing that checks. */
  readonly text: string
}
/** Long work that is no rotation. */
export interface Operation {
  readonly id: string
  readonly kind: 'retire' | 'census' | 'verify'
  readonly state: 'running' | 'done' | 'failed'
  readonly problem: { readonly code: string; readonly detail: string } | null
}
/** One entry of the chain: who did what to what. */
export interface AuditEvent {
  readonly seq: number
  readonly at: Date
  readonly actor: string
  readonly action: string
  readonly subject: string
  readonly data: { readonly [name: string]: unknown }
  readonly hash: string
}
/** What a look at the whole chain found. */
export interface AuditReport {
  readonly intact: boolean
  readonly events: number
  readonly head: string
  readonly fault: { readonly seq: number; readonly reason: string } | null
}
/** Somebody who may log in. */
export interface User {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly createdAt: Date
  readonly lastSeenAt: Date | null
}
/** A program that may use the API. */
export interface Token {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly createdAt: Date
  readonly createdBy: string | null
  readonly expiresAt: Date | null
  readonly lastUsedAt: Date | null
}
