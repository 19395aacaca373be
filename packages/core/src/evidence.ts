import { existsSync } from 'node:fs'
import type { LoggedEvent } from './audit/chain.ts'
import { expectedHead, sendCheckpoint } from './audit/checkpoint.ts'
import { listEvents } from './audit/listing.ts'
import { append, readStanding } from './audit/log.ts'
import { allEvents, verifyLog } from './audit/verification.ts'
import type { Config, SecretRef } from './config/config.ts'
import { labelOf, secretText } from './config/open-keyrings.ts'
import { variableOf } from './config/variable.ts'
import { fail } from './errors.ts'
import type { AuditLog } from './keyturn.ts'
import type { Evidence } from './rotation/certify.ts'
import type { Database } from './rotation/database.ts'
import { type SigningKey, signingKey } from './signing/signing-key.ts'
import { sqlCertificates } from './state/certificates.ts'
import { assertKnown } from './state/schema.ts'
import type { SqlState } from './state/sql.ts'

/** What evidence is opened with. */
export interface EvidenceOptions {
  readonly state: SqlState
  readonly database: Pick<Database, 'hasState'>
  readonly env: { readonly [name: string]: string | undefined }
  readonly actor: string
  readonly readOnly: boolean
  readonly warn: (sentence: string) => void
  readonly sink: ((line: string) => unknown) | undefined
}

/**
 * What signs and keeps proof, for a configuration.
 *
 * Where the signing key is not there, nothing is signed: an application shares its configuration with its operator, and the key is
 * the operator's alone.
 *
 * @throws `ERR_KEY_FORMAT` when the signing key is there and is none
 */
export function openEvidence(config: Config, options: EvidenceOptions): Evidence {
  const { state, database, actor, readOnly, warn, sink } = options
  const signer = signerOf(config, options.env)
  return {
    signer,
    sink,
    actor,
    warn,
    certificates: sqlCertificates(state, signer?.publicKey ?? null),
    log: {
      head: async () => {
        await assertKnown(state)
        return await readStanding(state, state.schema)
      },
      record: async (event) => {
        // A look leaves nothing behind, and without our tables there is nothing to write to.
        if (readOnly || !(await database.hasState())) return
        await state.transaction((sql) => append(sql, state.schema, event))
      },
    },
  }
}

function signerOf({ signing }: Config, env: EvidenceOptions['env']): SigningKey | null {
  const key: SecretRef | undefined = signing?.key
  if (key === undefined) return null
  const there = 'env' in key ? variableOf(env, key.env) !== undefined : existsSync(key.file)
  return there ? signingKey(secretText(key, env, 'signing certificates'), labelOf(key)) : null
}

/** The audit log of an opened configuration. Where there is no state yet, it is an empty one. */
export function auditOf({ state, database, evidence }: { state: SqlState; database: Database; evidence: Evidence }): AuditLog {
  return {
    verify: async ({ expect } = {}) => {
      const head = expect === undefined ? null : expectedHead(expect, evidence.signer)
      if (await database.hasState()) return await verifyLog(state, state.schema, head)
      throw fail('ERR_STATE_MISSING', state.schema.replaceAll('"', ''))
    },
    events: async function* (): AsyncGenerator<LoggedEvent> {
      if (!(await database.hasState())) return
      for await (const page of allEvents(state, state.schema)) yield* page
    },
    list: async (filter = {}) => ((await database.hasState()) ? await listEvents(state, state.schema, filter) : { items: [], next: null }),
    record: (event) => evidence.log.record(event),
    checkpoint: () => sendCheckpoint(evidence),
  }
}
