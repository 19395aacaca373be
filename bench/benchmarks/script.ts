import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Pool } from 'pg'
import { environment, freshTable, makeApplication, timedRotation } from '../application.ts'
import type { Benchmark } from '../benchmark.ts'
import { median, timed } from '../numbers.ts'

/** The script is measured at this share of the rows: its time grows with them, and at all of them it is minutes. */
const share = 20

/** What applications ship to change their key: one transaction, one statement for each row, each awaited. */
export const script: Benchmark = {
  name: 'script',
  about: 'the one-transaction, row-by-row script that others ship, against an online rotation',
  rows: 1_000_000,
  async run({ rows, rounds, postgres, say }) {
    const { pool, drop } = await (await postgres()).createDatabase()
    const few = Math.max(1, Math.round(rows / share))
    const [scripts, atFew, atAll]: number[][] = [[], [], []]
    try {
      say(`${rows} values in hex-colon`)
      const keyturn = await makeApplication(pool, 'hex-colon', rows)
      const rotate = async (count: number) => {
        await freshTable(pool, count)
        return (await timedRotation(keyturn, count, { newVersion: false, throttle: { share: 1 } })).rewritingMs
      }
      try {
        for (let round = 1; round <= rounds; round++) {
          await freshTable(pool, few)
          scripts?.push(await timed(() => runScript(pool)))
          atFew?.push(await rotate(few))
          if (round === 1 || rows === few) atAll?.push(await rotate(rows))
          say(`round ${round}: script ${scripts?.at(-1)?.toFixed(0)} ms, rotation ${atFew?.at(-1)?.toFixed(0)} ms at ${few} rows`)
        }
      } finally {
        await keyturn.close()
      }
    } finally {
      await drop()
    }
    const perRow = { script: median(scripts ?? []) / few, few: median(atFew ?? []) / few, all: median(atAll ?? []) / rows }
    return {
      ratios: [
        { name: `script / rewriting, by the row, the rotation at ${rows} rows`, value: perRow.script / perRow.all, limit: { atLeast: 12 } },
        { name: `script / rewriting, both at ${few} rows`, value: perRow.script / perRow.few },
      ],
      measured: {
        scriptPerRowUs: perRow.script * 1000,
        rewritingPerRowUs: perRow.all * 1000,
        rewritingOfFewPerRowUs: perRow.few * 1000,
        scriptMs: perRow.script * few,
      },
    }
  },
}

async function runScript(pool: Pool): Promise<void> {
  const [oldKey, newKey] = [Buffer.from(environment.BENCH_OLD, 'hex'), randomBytes(32)]
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    const { rows } = await client.query<{ id: string; token: string }>('SELECT id, token FROM app')
    for (const { id, token } of rows) {
      await client.query('UPDATE app SET token = $1 WHERE id = $2', [encrypt(decrypt(token, oldKey), newKey), id])
    }
    await client.query('COMMIT')
  } finally {
    client.release()
  }
}

function decrypt(stored: string, key: Buffer): string {
  const [iv = '', tag = '', ciphertext = ''] = stored.split(':')
  const decipher = createDecipheriv('aes-256-gcm', key, Buffer.from(iv, 'hex'))
  decipher.setAuthTag(Buffer.from(tag, 'hex'))
  return decipher.update(ciphertext, 'hex', 'utf8') + decipher.final('utf8')
}

function encrypt(text: string, key: Buffer): string {
  const iv = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, iv)
  const ciphertext = cipher.update(text, 'utf8', 'hex') + cipher.final('hex')
  return `${iv.toString('hex')}:${cipher.getAuthTag().toString('hex')}:${ciphertext}`
}
