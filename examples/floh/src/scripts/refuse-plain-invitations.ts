import pg from 'pg'
import { hashInvitationTokens } from '../invitations.ts'

/** Once every instance runs migration 030: hashes what older instances have stored since, and has the database refuse such tokens. */
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL ?? '' })
try {
  const { hashed, now, constraint } = await hashInvitationTokens(pool, true)
  console.log(`${hashed} tokens hashed, ${now.hashed} in all; constraint ${constraint}`)
} catch {
  // A foreign error may quote the address of the database, and so its password.
  console.error('The tokens could not be hashed, or the database does not answer. What was hashed stays; run it again.')
  process.exitCode = 1
} finally {
  await pool.end()
}
