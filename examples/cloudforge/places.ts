import type { SecretRef } from '@keyturn/core'

/** Where CloudForge runs, and how patient it is: what differs between production and a test of it. */
export interface Places {
  /** The address of the API, as its clients have it. */
  readonly api: string
  /** The server of Postgres and the database, without a login: `db.internal:5432/cloudforge`. */
  readonly postgres: string
  readonly postgresRoles: readonly [string, string]
  /** The PgBouncer through which the API logs in to Postgres; without it, the API does so directly. */
  readonly bouncer?: {
    /** Its address and the database, without a login. */
    readonly address: string
    /** Its `auth_file`, on the machine on which Keyturn runs. */
    readonly users: string
  }
  /** The server of Redis, without a login. */
  readonly redis: string
  /** The Connect server of 1Password. */
  readonly connect: string
  readonly fly?: { readonly endpoint: string; readonly pauseMs: number }
  /** The database of the reports, which AWS rotates. */
  readonly warehouse: { readonly address: string; readonly lambda: string }
  readonly anthropic?: string
  readonly openai: { readonly project: string; readonly endpoint?: string }
  readonly okta: string
  /** The API of the feed of threats. */
  readonly feed: string
  readonly entra: { readonly tenant: string; readonly clientId: string; readonly adminId: string; readonly scope?: string } & {
    readonly login?: string
    readonly graph?: string
    readonly api?: string
  }
  readonly aws: { readonly region: string; readonly user: string; readonly endpoint?: string; readonly stsEndpoint?: string } & {
    /** Unless given, the role of the machine on which Keyturn runs. */
    readonly credentials?: { readonly accessKeyId: SecretRef; readonly secretAccessKey: SecretRef }
  }
  /** Where the log is read: a file, or a program that prints it. */
  readonly log: { readonly file: string } | { readonly command: readonly string[] }
  /** How long the log is watched after a deployment, in milliseconds. */
  readonly watchMs: number
  /** How long an old credential goes on working; for tokens, how long they live at most. */
  readonly grace: { readonly tokens: string; readonly others: string }
}

/** Options without those that are not given. */
export const defined = <T extends object>(options: T): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T

/** Where the company reads on: RUNBOOK.md of this folder, and a page for each condition. */
export const handbook = 'https://handbook.cloudforge.example/secrets'
