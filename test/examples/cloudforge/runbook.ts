import { open } from '@keyturn/core'
import { openSecrets } from '@keyturn/secrets'
import type { Pool } from 'pg'
import config from '../../../examples/cloudforge/keyturn.config.ts'

/** What `keyturn secrets runbook` prints for the configuration of the example before its first rotation, without the time. */
export async function writtenRunbook(pool: Pool): Promise<string> {
  const env = { KEYTURN_ROOT_KEY: 'c7'.repeat(32) }
  const keyturn = await open({ ...config, schema: 'keyturn_runbook' }, { pool, env, warn: () => {} })
  try {
    const markdown = await (await openSecrets(keyturn, { pool, env })).runbook()
    return markdown.replace(/`, \d{4}-[^,]+, from/, '`, from')
  } finally {
    await keyturn.close()
  }
}
