import { append, findEvent, readStanding } from '../audit/log.ts'
import { type Certificate, certificateHash, certificateText, checkCertificate, readCertificate } from '../rotation/certificate.ts'
import { type CertificateStore, type StoredCertificate, subjectOf } from '../rotation/certify.ts'
import type { PublicKey } from '../signing/public-key.ts'
import type { Sql, SqlState } from './sql.ts'

/**
 * Keeps certificates in Postgres or PGlite, each with its audit event. `migrate` must have run.
 *
 * @param signer - the key that certificates are signed with here; null where nobody signs
 */
export function sqlCertificates(state: SqlState, signer: PublicKey | null): CertificateStore {
  const { schema } = state
  return {
    issue: (subject, actor, make) =>
      state.transaction(async (sql) => {
        // Locked before anything is looked at: two processes that certify the same run wait for each other.
        await sql.query(`SELECT 1 FROM ${schema}.audit_head FOR UPDATE`)
        const made = await find(sql, schema, { subject, signer })
        if (made !== null) return made
        const { head, at } = await readStanding(sql, schema)
        const certificate = make({ head, at, position: await positionOf(sql) })
        const text = certificateText(certificate)
        const sha256 = certificateHash(text)
        await sql.query(`INSERT INTO ${schema}.certificate (id, subject, body) VALUES ($1::text, $2::text, $3::text)`, [
          sha256,
          subject,
          text,
        ])
        const data = { sha256, signer: certificate.signer }
        await append(sql, schema, { actor, action: 'certificate.issue', subject, data })
        return certificate
      }),
    of: (subject) => find(state, schema, { subject, signer }),
    list: async () => {
      const { rows } = await state.query(`SELECT subject, body FROM ${schema}.certificate ORDER BY created_at DESC, id`)
      return rows.flatMap(({ subject, body }): StoredCertificate[] => {
        const certificate = readCertificate(String(body))
        return certificate === null ? [] : [{ id: certificateHash(String(body)), subject: String(subject), certificate }]
      })
    },
  }
}

interface Sought {
  readonly subject: string
  readonly signer: PublicKey | null
}

/** Whoever can write the database can put anything there, also before ours: what was not signed for this subject is passed over. */
async function find(sql: Sql, schema: string, { subject, signer }: Sought): Promise<Certificate | null> {
  const { rows } = await sql.query(`SELECT body FROM ${schema}.certificate WHERE subject = $1::text ORDER BY created_at`, [subject])
  for (const { body } of rows) {
    const certificate = readCertificate(String(body))
    if (certificate === null || subjectOf(certificate.claim) !== subject) continue
    if (certificate.signer === signer?.signer ? fits(String(body), signer) : await wasIssued(sql, schema, { subject, text: String(body) }))
      return certificate
  }
  return null
}

function fits(text: string, { text: key }: PublicKey): boolean {
  try {
    checkCertificate(text, key)
    return true
  } catch {
    return false
  }
}

async function wasIssued(
  sql: Sql,
  schema: string,
  { subject, text }: { readonly subject: string; readonly text: string },
): Promise<boolean> {
  const event = await findEvent(sql, schema, subject, 'certificate.issue')
  return event?.data?.sha256 === certificateHash(text)
}

async function positionOf(sql: Sql): Promise<string> {
  const { rows } = await sql.query('SELECT pg_catalog.pg_current_wal_lsn()::text AS position')
  return String(rows[0]?.position)
}
